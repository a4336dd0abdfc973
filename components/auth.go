package components

import (
	"maps"
	"slices"

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

// authArgs are nil in an open cluster. The stack's own user has its rules before all others,
// which can neither widen nor take them.
func authArgs(s settings.Settings) *nomad.Auth {
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
		Rules: nomad.RulesFile(rules, len(lists.sources) > 0), UsersDigest: nomad.UsersDigest(authUsers(s), s.Secrets.ErlangCookie.Reveal()),
		Disconnect:  s.Auth.DenyAction == "disconnect",
		ClientIDs:   clientIDs(s.Auth.ClientID),
		SecretLists: len(lists.variables()) > 0,
		Authorities: slices.Sorted(maps.Keys(nomad.Authorities(lists.authenticators, lists.sources))),
	}
}

// perClient is what one client may do.
func perClient(s settings.Settings) nomad.PerClient {
	p := s.Broker.PerClient
	limits := nomad.PerClient{MessageRate: p.MessageRate, ByteRateKB: p.ByteRateKB, Subscriptions: p.Subscriptions}
	if f := p.Flapping; f.On {
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
		if a.Kind == settings.KindBuiltIn {
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

// variables are EMQX's, none where the job's text says it all.
func (l lists) variables() map[string]string {
	if len(l.authenticators) == 0 && len(l.sources) == 0 {
		return nil
	}
	return map[string]string{
		nomad.AuthenticationVariable: nomad.Authentication(l.authenticators),
		nomad.SourcesVariable:        nomad.Sources(l.sources),
	}
}

// secretVariables are all variables of EMQX that nobody may see.
func secretVariables(s settings.Settings) map[string]string {
	all := revealed(s.Broker.SecretEnv)
	maps.Copy(all, authLists(s).variables())
	return all
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
