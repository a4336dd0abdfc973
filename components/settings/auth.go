package settings

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// maxUsers is how many users the variable of the job holds beside its other secrets: Nomad takes
// 64 kB of all of them, and a user with a name of 64 characters is 176 bytes.
const maxUsers = 250

// ruledByAuth tells whether a variable of EMQX says what [Auth] says.
func ruledByAuth(name string) bool {
	root, _, _ := strings.Cut(strings.TrimPrefix(name, "EMQX_"), "__")
	return root == "AUTHENTICATION" || root == "AUTHORIZATION"
}

// namesClients tells whether a variable of EMQX changes the identifiers of clients.
func namesClients(name string) bool {
	switch strings.TrimPrefix(name, "EMQX_") {
	case "MQTT", "MQTT__CLIENTID_OVERRIDE", "MQTT__USE_USERNAME_AS_CLIENTID", "MQTT__PEER_CERT_AS_CLIENTID", "BANNED", "BANNED__BOOTSTRAP_FILE":
		return true
	}
	return strings.HasPrefix(name, "EMQX_ZONES")
}

// validateAuth looks at who may connect, and whether the rules are about somebody and can
// ever decide.
func (s *Settings) validateAuth(f checker) {
	a := &s.Auth
	if a.Anonymous {
		for path, given := range map[string]bool{
			"auth.users": len(a.Users) > 0, "auth.rules": len(a.Rules) > 0,
			"auth.authenticators": len(a.Authenticators) > 0, "auth.sources": len(a.Sources) > 0,
		} {
			if given && !f.hasAbove(path) {
				f.Add(path, "must not be set with auth.anonymous: nobody proves who he is there")
			}
		}
		if a.ClientID != ClientIDAny && !f.hasAbove("auth.clientId") {
			f.Add("auth.clientId", "must be any with auth.anonymous: nobody proves who he is there, got %s", a.ClientID)
		}
		return
	}
	if f.hasAbove("auth") {
		return
	}
	if s.Secrets.GatePassword == "" && !f.hasAbove("secrets.gatePassword") {
		f.Add("secrets.gatePassword", "is not set; no update could end without the stack's own round trip, unless auth.anonymous is true; %s",
			s.howToGet("secrets.gatePassword"))
	}
	s.validateUsers(f)
	a.validateAuthenticators(f)
	s.validateCertificateNames(f)
	a.validateSources(f)
	a.validateRules(f)
}

func (s *Settings) validateUsers(f checker) {
	users := s.Auth.Users
	if len(users) > maxUsers {
		f.Add("auth.users", "must hold at most %d, which Nomad keeps in one variable, got %d", maxUsers, len(users))
	}
	for i, u := range users {
		path := fmt.Sprintf("auth.users[%d]", i)
		if f.hasAbove(path) {
			continue
		}
		if !f.Has(path + ".name") {
			first := slices.IndexFunc(users, func(other AuthUser) bool { return other.Name == u.Name })
			switch {
			case strings.HasPrefix(u.Name, "emqx-oci-"):
				f.Add(path+".name", "must not begin with emqx-oci-, as the stack's own users do, got %q", u.Name)
			case first < i:
				f.Add(path+".name", "must be another than that of auth.users[%d], got %q", first, u.Name)
			}
		}
		switch {
		case f.Has(path + ".password"), f.Has(path + ".passwordHash"):
		case u.Password == "" && u.PasswordHash == "":
			f.Add(path+".password", "is not set; set it with: %s", howToSet(path+".password"))
		case u.Password != "" && u.PasswordHash != "":
			f.Add(path+".passwordHash", "must not be set beside the password")
		}
	}
}

func (a *Auth) validateRules(f checker) {
	bound := a.HasOthers() || slices.ContainsFunc(a.Users, func(u AuthUser) bool { return !u.Superuser })
	if bound && len(a.Rules) == 0 && len(a.Sources) == 0 && !f.hasAbove("auth.rules") {
		f.Add("auth.rules", "must hold at least one: without any only superusers may publish or subscribe")
	}
	for i := range a.Rules {
		a.validateRule(f, i)
	}
}

func (a *Auth) validateRule(f checker, i int) {
	r, path := a.Rules[i], fmt.Sprintf("auth.rules[%d]", i)
	if f.hasAbove(path) {
		return
	}
	if who := r.who(); len(who) > 1 {
		f.Add(path, "must be about one of user, clientId and address, or about everybody, got %s", strings.Join(who, " and "))
		return
	}
	if r.User != "" && !f.Has(path+".user") && !a.HasOthers() && !slices.ContainsFunc(a.Users, func(u AuthUser) bool { return u.Name == r.User }) {
		f.Add(path+".user", "must be one of auth.users, as nobody else can connect, got %q", r.User)
	}
	if r.User != "" && slices.ContainsFunc(a.Users, func(u AuthUser) bool { return u.Superuser && u.Name == r.User }) {
		f.Add(path+".user", "must not be a superuser, for whom no rule holds, got %q", r.User)
	}
	for j, topic := range r.Topics {
		if at := fmt.Sprintf("%s.topics[%d]", path, j); !f.Has(at) {
			if what := topicFault(topic); what != "" {
				f.Add(at, "%s, got %q", what, topic)
			}
		}
	}
	if f.HasBelow(path) {
		return
	}
	for before := range i {
		if a.Rules[before].covers(r) {
			f.Add(path, "must be before auth.rules[%d], which decides all that this one is about", before)
			return
		}
	}
}

// who are the conditions of a rule that are given.
func (r AuthRule) who() (given []string) {
	for _, x := range []struct{ name, value string }{{"user", r.User}, {"clientId", r.ClientID}, {"address", r.Address}} {
		if x.value != "" {
			given = append(given, x.name)
		}
	}
	return given
}

// covers tells whether a rule before another one leaves nothing for it. It may miss such a
// pair, and takes none for one that is not.
func (r AuthRule) covers(later AuthRule) bool {
	everybody := len(r.who()) == 0
	same := r.User == later.User && r.ClientID == later.ClientID && r.Address == later.Address
	all := r.Action == "" || r.Action == "all"
	if !everybody && !same || !all && r.Action != later.Action {
		return false
	}
	for _, topic := range later.Topics {
		if !slices.ContainsFunc(r.Topics, func(filter string) bool { return filterCovers(filter, topic) }) {
			return false
		}
	}
	return true
}

// literal begins a filter whose wildcards are plain characters.
const literal = "eq "

// filterCovers tells whether a rule's filter matches every topic and every subscription that
// another one does: as emqx_topic:match does it, by which no wildcard matches a first level
// that begins with "$".
func filterCovers(filter, other string) bool {
	filter, other = TopicOf(filter), TopicOf(other)
	if strings.HasPrefix(filter, literal) {
		return filter == other
	}
	have, want := strings.Split(filter, "/"), strings.Split(strings.TrimPrefix(other, literal), "/")
	for i, level := range have {
		system := i == 0 && len(want) > 0 && strings.HasPrefix(want[0], "$") && !strings.HasPrefix(want[0], "${")
		switch {
		case level == "#":
			return !system
		case i == len(want):
			return false
		case level == "+" && want[i] != "#" && !system, level == want[i]:
		default:
			return false
		}
	}
	return len(have) == len(want)
}

// TopicOf is the filter that EMQX asks its rules about: what is behind the group of a shared
// subscription.
func TopicOf(filter string) string {
	if rest, shared := strings.CutPrefix(filter, "$share/"); shared {
		_, rest, _ = strings.Cut(rest, "/")
		return rest
	}
	return strings.TrimPrefix(filter, "$queue/")
}

var placeholders = regexp.MustCompile(`\$\{[^}]*\}?`)

// topicFault is what is wrong with a rule's filter, "" for nothing.
func topicFault(filter string) string {
	text, plain := strings.CutPrefix(filter, literal)
	if !plain {
		if text = TopicOf(filter); text == "" {
			return "must be $share/group/filter"
		}
	}
	for _, name := range placeholders.FindAllString(text, -1) {
		switch {
		case plain:
			return "must hold no placeholder behind eq, which EMQX takes as it stands there"
		case name == "${clientid}":
			return "must not hold ${clientid}: a client says itself who it is, and one that calls itself + would have everybody's topics; take ${username}"
		case name != "${username}":
			return "must hold no placeholder but ${username}"
		}
	}
	levels := strings.Split(text, "/")
	for i, level := range levels {
		wild := strings.ContainsAny(level, "#+")
		if wild && len(level) > 1 || level == "#" && i < len(levels)-1 {
			return "must be a topic filter: + stands for one whole level, # for all that follow and is the last"
		}
	}
	switch {
	case text == "" || len(text) > 65535:
		return "must be a topic filter of 1 to 65535 bytes"
	case strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return "must hold no control characters"
	}
	return ""
}
