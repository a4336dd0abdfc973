package gates

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
)

// OpenAccess is the step that opens a cluster which was closed: what [MatchUsers] has written
// on running members stands in EMQX's own configuration, and counts again where the job says
// no more. Authenticators of the stack are switched off, as without them their users would be
// gone, and EMQX's own rules take the place of the stack's, which are told by the name of its
// own user. What somebody else has made stays.
func OpenAccess(client NomadClient, job, ownUser string) Step {
	return Step{
		Name: "open access", Next: "the authenticators and the rules in EMQX's dashboard",
		Do: func(ctx context.Context) (string, error) {
			m := userMatcher{client: client, args: MatchUsersArgs{Job: job}}
			done, err := m.open(ctx, ownUser)
			if err != nil {
				return done, fmt.Errorf("opening the cluster: %w", err)
			}
			return done, nil
		},
	}
}

// ownersRules are EMQX's of its image, with what is its default beside them (emqx_schema,
// emqx_authz_schema).
const ownersRules = `authorization = {no_match = allow, deny_action = ignore, cache = {enable = true}, ` +
	`sources = [{type = file, enable = true, path = "${EMQX_ETC_DIR}/acl.conf"}]}`

func (m *userMatcher) open(ctx context.Context, ownUser string) (string, error) {
	if err := m.find(ctx); err != nil {
		return "", err
	}
	s, err := m.shown(ctx)
	if err != nil {
		return "", err
	}
	var done []string
	var chain []map[string]any
	if err := readAnswer("authentication", s.authentication, &chain); err != nil {
		return "", err
	}
	for _, one := range chain {
		if file, _ := one["bootstrap_file"].(string); !strings.HasSuffix(file, "/users.json") || one["enable"] != true {
			continue
		}
		if err := m.switchOff(ctx, chain); err != nil {
			return "", err
		}
		done = append(done, "authenticators switched off")
	}
	if status, rules, _ := strings.Cut(s.sources, "\n"); status != "200" || !strings.Contains(rules, ownUser) {
		return strings.Join(done, "; "), nil
	}
	if err := m.ask(ctx, "PUT", "/configs?mode=replace", ownersRules, nil); err != nil {
		return strings.Join(done, "; "), err
	}
	return strings.Join(append(done, "EMQX's own rules count"), "; "), nil
}

// switchOff takes the other authenticators away, and then switches the built-in one off, which
// keeps its users: as long as it is on, a next try finds the others. Those cannot be switched
// off: the files of their servers' authorities were the old job's, and EMQX takes no change of
// an authenticator whose files are not there.
func (m *userMatcher) switchOff(ctx context.Context, chain []map[string]any) error {
	for i := range chain {
		id, _ := chain[len(chain)-1-i]["id"].(string)
		if id == builtIn {
			continue
		}
		if err := m.ask(ctx, "DELETE", "/authentication/"+url.PathEscape(id), "", nil); err != nil {
			return err
		}
	}
	for _, one := range chain {
		if one["id"] != builtIn {
			continue
		}
		one["enable"] = false
		delete(one, "id")
		body, err := json.Marshal(one)
		if err != nil {
			return err
		}
		return m.ask(ctx, "PUT", "/authentication/"+url.PathEscape(builtIn), string(body), nil)
	}
	return nil
}
