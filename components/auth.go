package components

import (
	"context"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/nomad"
	"github.com/emqx-oci/emqx-oci/components/settings"
	"github.com/emqx-oci/emqx-oci/infra/gates"
)

// authUsers are all who may connect: the stack's own user, and those that it declares.
func authUsers(s settings.Settings) []nomad.User {
	users := []nomad.User{{Name: settings.GateUser, Password: s.Secrets.GatePassword.Reveal()}}
	for _, u := range s.Auth.Users {
		users = append(users, nomad.User{Name: u.Name, Password: u.Password.Reveal(), PasswordHash: u.PasswordHash.Reveal(), Superuser: u.Superuser})
	}
	return users
}

// auth is nil in an open cluster. The stack's own user has its rules before all others,
// which can neither widen nor take them.
func auth(s settings.Settings) *nomad.Auth {
	if s.Auth.Anonymous {
		return nil
	}
	lists := authLists(s)
	rules := nomad.RefusedRules(clientIDs(s.Auth.ClientID))
	rules = append(rules,
		nomad.Rule{Allow: true, User: settings.GateUser, Action: "all", Topics: []string{gates.RoundTripTopics}},
		nomad.Rule{User: settings.GateUser, Action: "all"},
	)
	if len(lists.authenticators) > 0 || s.TLS.VerifiesClients() {
		// Of a name that somebody else has given, EMQX makes wildcards of ${username} in a rule.
		rules = append(rules, nomad.Rule{UserPattern: "[+#]", Action: "all"})
	}
	for _, r := range s.Auth.Rules {
		rule := nomad.Rule{Allow: r.Permit == "allow", User: r.User, ClientID: r.ClientID, Address: r.Address, Action: r.Action, Topics: []string{}}
		if rule.Action == "" {
			rule.Action = "all"
		}
		for _, topic := range r.Topics {
			rule.Topics = append(rule.Topics, settings.TopicOf(topic))
		}
		rules = append(rules, rule)
	}
	return &nomad.Auth{
		Users: authUsers(s), Rules: rules, Key: s.Secrets.ErlangCookie.Reveal(), Disconnect: s.Auth.DenyAction == "disconnect",
		Authenticators: lists.authenticators, Sources: lists.sources,
	}
}

// matchUsersArgs are for a closed cluster.
func matchUsersArgs(s settings.Settings) gates.MatchUsersArgs {
	a := auth(s)
	args := gates.MatchUsersArgs{
		Job: cluster.EMQXJobID(s.Environment), Timeout: s.Gates.Settle, LeaveDrift: s.Auth.Drift == settings.DriftWarn,
		Access: func() (gates.Access, error) {
			f, err := a.Files()
			return gates.Access{Digest: f.Digest(), Authentication: f.Authentication, Authorization: f.Authorization, Rules: f.Rules}, err
		},
		May:   mayHold(a),
		Alone: !s.Auth.HasOthers(),
	}
	for _, u := range a.Users {
		args.Names = append(args.Names, u.Name)
	}
	return args
}

// mayHold tells whether EMQX would let a client subscribe to a filter (emqx_authz,
// emqx_authz_rule). What a client brings itself, such as rules in a token, is not known here.
func mayHold(a *nomad.Auth) func(c gates.Client, filter string) bool {
	about := make([]func(gates.Client) bool, len(a.Rules))
	for i, r := range a.Rules {
		about[i] = isAbout(r)
	}
	return func(c gates.Client, filter string) bool {
		if slices.ContainsFunc(a.Users, func(u nomad.User) bool { return u.Superuser && u.Name == c.Username }) {
			return true
		}
		topic := settings.TopicOf(filter)
		for i, r := range a.Rules {
			if r.Action != "publish" && about[i](c) && (r.Topics == nil || slices.ContainsFunc(r.Topics, func(t string) bool { return concerns(t, c, topic) })) {
				return r.Allow
			}
		}
		return len(a.Sources) > 0 // which are not asked here
	}
}

// isAbout tells of whom a rule speaks.
func isAbout(r nomad.Rule) func(gates.Client) bool {
	switch {
	case r.UserPattern != "":
		pattern, err := regexp.Compile(r.UserPattern)
		return func(c gates.Client) bool { return err == nil && pattern.MatchString(c.Username) }
	case r.User != "":
		return func(c gates.Client) bool { return r.User == c.Username }
	case r.ClientID != "":
		return func(c gates.Client) bool { return r.ClientID == c.ID }
	case r.Address != "":
		from, err := netip.ParsePrefix(r.Address)
		return func(c gates.Client) bool {
			at, too := netip.ParseAddr(c.Address)
			return err == nil && too == nil && from.Contains(at.Unmap())
		}
	}
	return func(gates.Client) bool { return true }
}

// concerns is emqx_topic:match, which takes the wildcards of what is subscribed to for plain
// words: a rule for "a/+" lets "a/#" pass. That differs from the question whether a rule leaves
// nothing to a later one, which is that of the settings.
func concerns(rule string, c gates.Client, topic string) bool {
	if plain, is := strings.CutPrefix(rule, "eq "); is {
		return plain == topic
	}
	if strings.Contains(rule, "${username}") {
		if c.Username == "" {
			return false
		}
		rule = strings.ReplaceAll(rule, "${username}", c.Username)
	}
	filter, words := strings.Split(rule, "/"), strings.Split(topic, "/")
	if strings.HasPrefix(words[0], "$") && (filter[0] == "+" || filter[0] == "#") {
		return false
	}
	for i, word := range filter {
		switch {
		case word == "#" && i == len(filter)-1:
			return true
		case i >= len(words), word != "+" && word != words[i]:
			return false
		}
	}
	return len(filter) == len(words)
}

// accessLook is how long a preview waits to hear what EMQX has.
const accessLook = 10 * time.Second

// tellAccessDrift has a preview say what somebody else has changed in EMQX. Where that cannot
// be asked it says nothing: EMQX may not be there yet.
func tellAccessDrift(ctx *pulumi.Context, s settings.Settings) error {
	if !ctx.DryRun() || s.Auth.Anonymous || ctx.Value(withoutGates{}) != nil {
		return nil
	}
	nomadAPI, _, err := agents(s)
	if err != nil {
		return err
	}
	asking, cancel := context.WithTimeout(ctx.Context(), accessLook)
	defer cancel()
	drift, err := gates.AccessDrift(asking, nomadAPI, matchUsersArgs(s))
	if err != nil || drift == "" {
		return nil
	}
	end := "the update puts that right"
	if s.Auth.Drift == settings.DriftWarn {
		end = "auth.drift leaves that"
	}
	return ctx.Log.Warn(fmt.Sprintf("somebody has changed in EMQX who may connect or what they may do: %s; %s", drift, end), nil)
}

// perClient is what one client may do.
func perClient(s settings.Settings) nomad.PerClient {
	l := s.Broker.Limits
	limits := nomad.PerClient{MessageRate: l.MessageRate, ByteRateKB: l.ByteRateKB, Subscriptions: l.Subscriptions}
	if f := l.Flapping; f.On {
		limits.Flapping = &nomad.Flapping{Count: f.Count, Window: f.Window, Ban: f.Ban}
	}
	return limits
}

// lists are whom EMQX asks beside its built-in database and the file of rules.
type lists struct {
	authenticators []nomad.Authenticator
	sources        []nomad.Source
}

func authLists(s settings.Settings) (l lists) {
	if s.Auth.Anonymous {
		return l
	}
	for _, a := range s.Auth.Authenticators {
		if a.Kind == settings.KindBuiltIn || a.Kind == settings.KindCertificate { // which EMQX has none of
			continue
		}
		l.authenticators = append(l.authenticators, nomad.Authenticator{
			Kind: a.Kind, Secret: a.Secret.Reveal(), PublicKey: a.PublicKey, JWKS: a.JWKS, Claims: a.Claims, ACLClaim: a.ACLClaim,
			Request: nomad.Request{
				URL: a.URL, Get: a.Method == "get", Headers: a.Headers, Authorization: a.Authorization.Reveal(), Body: a.Body, CA: a.CA,
			},
			Server: a.Server, Database: a.Database, Username: a.Username, Password: a.Password.Reveal(), Query: a.Query,
			Collection: a.Collection, Filter: a.Filter, BaseDN: a.BaseDN, Hash: a.Hash, Salt: a.Salt, Iterations: a.Iterations,
			CA: a.CA, Plain: a.Plain,
		})
	}
	for _, a := range s.Auth.Sources {
		source := nomad.Source{}
		if a.Kind == settings.KindHTTP {
			source.Request = &nomad.Request{URL: a.URL, Get: a.Method == "get", Headers: a.Headers, Authorization: a.Authorization.Reveal(), Body: a.Body, CA: a.CA}
		}
		l.sources = append(l.sources, source)
	}
	return l
}

// authorities are those of servers that EMQX asks, by the names of their files.
func authorities(s settings.Settings) map[string]string {
	lists := authLists(s)
	return nomad.Authorities(lists.authenticators, lists.sources)
}

// clientIDs is how identifiers are bound to users, whatever the stack calls it.
func clientIDs(setting string) nomad.ClientIDs {
	switch setting {
	case settings.ClientIDUsername:
		return nomad.ClientIDIsUsername(settings.GateUser)
	case settings.ClientIDPrefix:
		return nomad.ClientIDBeginsWithUsername()
	}
	return ""
}
