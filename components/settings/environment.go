package settings

import (
	"maps"
	"slices"
	"strings"

	"github.com/emqx-oci/emqx-oci/components/cluster"
)

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
		if why := cluster.VariableFault(name); why != "" {
			f.Add(path, "%s", why)
			continue
		}
		if !s.Auth.Anonymous && ruledByAuth(name) {
			f.Add(path, "must not be set: it is what auth says, unless auth.anonymous is true")
			continue
		}
		if s.Auth.ClientID != ClientIDAny && namesClients(name) {
			f.Add(path, "must not be set: it says who a client is, as auth.clientId does, unless that is any")
			continue
		}
		if value, clear := s.Broker.Env[name]; clear && cluster.HoldsSecret(name, value) {
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
