package settings

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

var (
	// secretWords are words of a variable's path whose value nobody may see. Of the words
	// "key" and "keys" only the last counts: what an API key or a licence key is, but
	// neither key files nor keep-alives.
	secretWords = []string{"PASSWORD", "PASSWD", "PASSPHRASE", "SECRET", "TOKEN", "CREDENTIAL", "CREDENTIALS", "COOKIE", "PSK"}
	keyWords    = []string{"KEY", "KEYS", "APIKEY"}
	// plainWords end the name of a thing that is about secrets and none itself:
	// PASSWORD_HASH_ALGORITHM, TOKEN_EXPIRED_TIME, SECRET_BASE64_ENCODED.
	plainWords = []string{
		"ALGORITHM", "NAME", "ENABLE", "ENABLED", "TIME", "TTL", "EXPIRY", "EXPIRED", "INTERVAL", "TIMEOUT", "POSITION", "ENCODED",
		"ROUNDS", "ITERATIONS", "FILE", "SEPARATOR", "CHUNK", "SIZE", "MECHANISM", "BACKEND", "QUERY", "FILTER", "FROM",
	}

	// credentials are a user's name and password in a URL, or a field of a HOCON object
	// whose name says what it is.
	credentials = regexp.MustCompile(`(?i)://[^/\s:@"]*:[^/\s@"]+@|(^|[{,\s"])(password|passwd|secret|token|api_?key|private_?key|secret_?access_?key)"?\s*[:=]`)
	// reference is what names a value that lies elsewhere.
	reference = regexp.MustCompile(`^"?(file://|\$\{)[^"]*"?$`)
)

// namesSecret tells whether a variable of EMQX, by its name, holds what nobody may see.
func namesSecret(name string) bool {
	parts := strings.Split(strings.TrimPrefix(name, "EMQX_"), "__")
	words := strings.Split(parts[len(parts)-1], "_")
	last := words[len(words)-1]
	if slices.Contains(plainWords, last) {
		return false
	}
	return slices.Contains(keyWords, last) || slices.ContainsFunc(words, func(w string) bool { return slices.Contains(secretWords, w) })
}

// holdsSecret tells whether a variable's value is in the open and should not be.
func holdsSecret(name, value string) bool {
	switch {
	case reference.MatchString(value), value == "", value == `""`:
		return false
	}
	return namesSecret(name) || credentials.MatchString(value)
}

// hideEnvironment takes the encrypted variables of the broker out of those that may
// stand in a job's text. Pulumi tells a program only that the group holds something
// encrypted: then any of them may be it. Offline a placeholder stands for each.
func (s *Settings) hideEnvironment(offline, encrypted bool) {
	s.Broker.SecretEnv = map[string]Secret{}
	for name, value := range s.Broker.Env {
		if !offline && encrypted || offline && value == placeholder {
			s.Broker.SecretEnv[name] = Secret(value)
			delete(s.Broker.Env, name)
		}
	}
}

// validateEnvironment refuses variables that take away what the stack stands on, and
// secrets that are not encrypted.
func (s *Settings) validateEnvironment(f checker) {
	for _, name := range s.Broker.EnvNames() {
		path := "broker.env." + name
		if f.Has(path) {
			continue
		}
		if why := refusal(name); why != "" {
			f.Add(path, "must not be set: %s", why)
			continue
		}
		if value, clear := s.Broker.Env[name]; clear && holdsSecret(name, value) {
			f.Add(path, "must not be kept in clear; set it with: %s", howToSet(path))
		}
		if strings.ContainsRune(s.Broker.SecretEnv[name].Reveal(), 0) {
			f.Add(path, "must not hold a NUL character")
		}
	}
}

// EnvNames are the names of all further variables of EMQX, encrypted or not, in order.
func (b *Broker) EnvNames() []string {
	names := slices.Collect(maps.Keys(b.Env))
	for name := range b.SecretEnv {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// EnvValue is the value of one of [Broker.EnvNames]; it may be a secret.
func (b *Broker) EnvValue(name string) string {
	if value, clear := b.Env[name]; clear {
		return value
	}
	return b.SecretEnv[name].Reveal()
}
