package gates

import (
	"context"
	_ "embed" // the script
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	nomad "github.com/hashicorp/nomad/api"

	"github.com/emqx-oci/emqx-oci/components/cluster"
)

// RoundTripTopics is the filter of all topics of [RoundTrip].
const RoundTripTopics = gateTopics + "#"

//go:embed files/users.sh
var usersScript string

// usersTime bounds one command: 250 users are imported one by one, each in a few
// milliseconds on an idle node.
const usersTime = 60 * time.Second

// MatchUsersArgs describe the step that makes EMQX's users those that are declared. All are
// required but Timeout.
type MatchUsersArgs struct {
	// Job is the id of EMQX's job.
	Job string
	// Names are all users that there may be.
	Names []string
	// Timeout of the step by itself.
	Timeout time.Duration
}

// MatchUsers is the step that makes the users of EMQX's built-in database, which all members
// share, those that are declared: EMQX itself only adds users when it starts. Those of the
// file in the task are brought in as they are there, all others are removed. Who is connected
// as a user that was removed, or that was changed, is cut off, sessions and all. That holds
// wherever a try ends: what is left to do stands in the database until it is done.
func MatchUsers(client NomadClient, args MatchUsersArgs) Step {
	return Step{
		Name: "match users", Timeout: args.Timeout,
		Next: "whether somebody took the authenticator password_based:built_in_database out of EMQX in the dashboard: a restart of the node brings it back",
		Do: func(ctx context.Context) (string, error) {
			m := userMatcher{client: client, args: args}
			err := m.match(ctx)
			return m.done(), err
		},
	}
}

type userMatcher struct {
	client                  NomadClient
	args                    MatchUsersArgs
	alloc                   string
	added, changed, removed []string
	cut                     int
}

func (m *userMatcher) match(ctx context.Context) error {
	allocs, err := m.client.Allocations(ctx, m.args.Job)
	if err != nil {
		return fmt.Errorf("matching users: %w", err)
	}
	i := slices.IndexFunc(allocs, func(a *nomad.AllocationListStub) bool {
		return a.ClientStatus == nomad.AllocClientStatusRunning && a.DesiredStatus == nomad.AllocDesiredStatusRun
	})
	if i < 0 {
		return fmt.Errorf("matching users: no allocation of job %s runs", m.args.Job)
	}
	m.alloc = allocs[i].ID
	// A user that EMQX does not take keeps nobody else connected.
	if err := errors.Join(m.bring(ctx), m.remove(ctx)); err != nil {
		return fmt.Errorf("matching users: %w", err)
	}
	return nil
}

// bring imports the users of the file in the task. Those that it changes leave a mark.
func (m *userMatcher) bring(ctx context.Context) error {
	out, err := m.run(ctx, "import")
	if err != nil {
		return err
	}
	var failed []string
	for line := range strings.Lines(out) {
		what, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		switch what {
		case "added":
			m.added = append(m.added, name)
		case "changed":
			m.changed = append(m.changed, name)
		case "failed":
			failed = append(failed, OneLine(name))
		}
	}
	if len(failed) > 0 {
		return fmt.Errorf("EMQX does not take the users that are declared: %s", joinSome(failed))
	}
	return nil
}

const (
	usersPath  = "/authentication/password_based%3Abuilt_in_database/users"
	importPath = "/authentication/password_based%3Abuilt_in_database/import_users?type=hash"

	// toCut and a name is a user that nobody can be, beside one whose clients have still to
	// be cut off. users.sh writes it. No declared name begins like this.
	toCut = "emqx-oci-cut-"
	// nobodysHash is the hash of no password that anybody knows.
	nobodysHash = "$2a$10$....................................................."

	// usersAtOnce bounds the users of one command, whose arguments have to fit.
	usersAtOnce = 100
)

// remove takes away the users that are not declared, marks among them, and cuts off who is
// connected by them. They go last: as long as one is there, a next try finds it.
func (m *userMatcher) remove(ctx context.Context) error {
	for {
		ids, err := m.undeclared(ctx)
		if err != nil || len(ids) == 0 {
			return err
		}
		for some := range slices.Chunk(ids, usersAtOnce) {
			if err := m.cutAndDelete(ctx, some); err != nil {
				return err
			}
		}
	}
}

// undeclared are up to 10000 users of the database that are not declared.
func (m *userMatcher) undeclared(ctx context.Context) (ids []string, err error) {
	var list struct {
		Data []struct {
			ID string `json:"user_id"`
		}
	}
	// At most 251 are declared: a full page has others.
	if err := m.ask(ctx, "GET", usersPath+"?page=1&limit=10000", "", &list); err != nil {
		return nil, err
	}
	for _, u := range list.Data {
		if !slices.Contains(m.args.Names, u.ID) {
			ids = append(ids, u.ID)
		}
	}
	return ids, nil
}

// cutAndDelete shuts users out, cuts off their clients, and deletes them, in this order: a
// client that is cut off comes back at once where it can.
func (m *userMatcher) cutAndDelete(ctx context.Context, ids []string) error {
	type record struct {
		ID        string `json:"user_id"`
		Hash      string `json:"password_hash"`
		Salt      string `json:"salt"`
		Superuser bool   `json:"is_superuser"`
	}
	var locked []record
	names := make([]string, len(ids))
	for i, id := range ids {
		name, mark := strings.CutPrefix(id, toCut)
		names[i] = name
		if !mark {
			locked = append(locked, record{ID: id, Hash: nobodysHash})
		}
	}
	if len(locked) > 0 {
		body, err := json.Marshal(locked)
		if err != nil {
			return err
		}
		if err := m.ask(ctx, "POST", importPath, string(body), nil); err != nil {
			return err
		}
	}
	if err := m.cutOff(ctx, names); err != nil {
		return err
	}
	for _, id := range ids {
		if err := m.ask(ctx, "DELETE", usersPath+"/"+url.PathEscape(id), "", nil); err != nil {
			return err
		}
		if !strings.HasPrefix(id, toCut) {
			m.removed = append(m.removed, id)
		}
	}
	return nil
}

// cutOff ends the connections and sessions of users, on all members, until there are none.
func (m *userMatcher) cutOff(ctx context.Context, names []string) error {
	of := url.Values{"fields": {"clientid,username"}, "limit": {"1000"}, "username": names}
	for ctx.Err() == nil {
		var list struct {
			Data []struct {
				ID       string `json:"clientid"`
				Username string `json:"username"`
			}
		}
		if err := m.ask(ctx, "GET", "/clients?"+of.Encode(), "", &list); err != nil {
			return err
		}
		var ids []string
		for _, c := range list.Data {
			if slices.Contains(names, c.Username) { // whatever the API makes of the question, nobody else is cut
				ids = append(ids, c.ID)
			}
		}
		if len(ids) == 0 {
			return nil
		}
		body, err := json.Marshal(ids)
		if err != nil {
			return err
		}
		if err := m.ask(ctx, "POST", "/clients/kickout/bulk", string(body), nil); err != nil {
			return err
		}
		m.cut += len(ids)
	}
	return context.Cause(ctx)
}

// ask asks the member's API; an answer other than 2xx is an error.
func (m *userMatcher) ask(ctx context.Context, method, path, body string, into any) error {
	out, err := m.run(ctx, "ask", method, path, body)
	if err != nil {
		return err
	}
	_, answer, _ := strings.Cut(out, answerMark)
	status, text, _ := strings.Cut(answer, "\n")
	if !strings.HasPrefix(status, "2") {
		return fmt.Errorf("%s %s: EMQX answers %s: %s", method, path, OneLine(status), OneLine(text))
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal([]byte(text), into); err != nil {
		return fmt.Errorf("%s %s: reading EMQX's answer: %w", method, path, err)
	}
	return nil
}

func (m *userMatcher) run(ctx context.Context, command ...string) (string, error) {
	limit := strconv.Itoa(int(usersTime.Seconds()))
	r, _, err := execWithin(ctx, m.client, usersTime+sessionTime, m.alloc, cluster.EMQXTask,
		append([]string{"timeout", limit, "/bin/bash", "-c", usersScript, "users.sh"}, command...)...)
	switch {
	case err != nil:
		return "", err
	case r.Exit != 0:
		return "", fmt.Errorf("exit code %d: %s", r.Exit, OneLine(r.Stderr))
	}
	return r.Stdout, nil
}

func (m *userMatcher) done() string {
	var parts []string
	for _, x := range []struct {
		what  string
		names []string
	}{{"added", m.added}, {"changed", m.changed}, {"removed", m.removed}} {
		if len(x.names) > 0 {
			parts = append(parts, x.what+" "+OneLine(strings.Join(x.names, ", ")))
		}
	}
	if m.cut > 0 {
		parts = append(parts, fmt.Sprintf("clients cut off: %d", m.cut))
	}
	return strings.Join(parts, "; ")
}
