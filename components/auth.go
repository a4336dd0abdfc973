package components

import (
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
	rules := nomad.RefusedRules(clientIDs(s.Auth.ClientID))
	rules = append(rules,
		nomad.Rule{Allow: true, User: settings.GateUser, Action: "all", Topics: []string{gates.RoundTripTopics}},
		nomad.Rule{User: settings.GateUser, Action: "all"},
	)
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
		Rules: nomad.RulesFile(rules), UsersDigest: nomad.UsersDigest(authUsers(s), s.Secrets.ErlangCookie.Reveal()),
		Disconnect: s.Auth.DenyAction == "disconnect",
		ClientIDs:  clientIDs(s.Auth.ClientID),
	}
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
