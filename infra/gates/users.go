package gates

import (
	"context"
	_ "embed" // the script
	"encoding/json"
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
// as a user that was removed, or that was changed, is cut off, sessions and all.
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
	if err := m.bring(ctx); err != nil {
		return fmt.Errorf("matching users: %w", err)
	}
	if err := m.remove(ctx); err != nil {
		return fmt.Errorf("matching users: %w", err)
	}
	for _, name := range slices.Concat(m.removed, m.changed) {
		if err := m.cutOff(ctx, name); err != nil {
			return fmt.Errorf("cutting off user %s: %w", strconv.Quote(name), err)
		}
	}
	return nil
}

// bring imports the users of the file in the task.
func (m *userMatcher) bring(ctx context.Context) error {
	out, err := m.run(ctx, "import")
	if err != nil {
		return err
	}
	for line := range strings.Lines(out) {
		what, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		switch what {
		case "added":
			m.added = append(m.added, name)
		case "changed":
			m.changed = append(m.changed, name)
		case "failed":
			return fmt.Errorf("EMQX does not take user %s", OneLine(name))
		}
	}
	return nil
}

const usersPath = "/authentication/password_based%3Abuilt_in_database/users"

// remove takes away the users that are not declared.
func (m *userMatcher) remove(ctx context.Context) error {
	var list struct {
		Data []struct {
			ID string `json:"user_id"`
		}
	}
	if err := m.ask(ctx, "GET", usersPath+"?page=1&limit=10000", "", &list); err != nil {
		return err
	}
	for _, u := range list.Data {
		if slices.Contains(m.args.Names, u.ID) {
			continue
		}
		if err := m.ask(ctx, "DELETE", usersPath+"/"+url.PathEscape(u.ID), "", nil); err != nil {
			return err
		}
		m.removed = append(m.removed, u.ID)
	}
	return nil
}

// cutOff ends the connections and sessions of a user, on all members.
func (m *userMatcher) cutOff(ctx context.Context, name string) error {
	for ctx.Err() == nil {
		var list struct {
			Data []struct {
				ID       string `json:"clientid"`
				Username string `json:"username"`
			}
		}
		if err := m.ask(ctx, "GET", "/clients?fields=clientid,username&limit=1000&username="+url.QueryEscape(name), "", &list); err != nil {
			return err
		}
		var ids []string
		for _, c := range list.Data {
			if c.Username == name { // whatever the API makes of the question, nobody else is cut
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
