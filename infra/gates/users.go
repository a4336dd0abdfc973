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

	"github.com/emqx-oci/emqx-oci/components/cluster"
)

// RoundTripTopics is the filter of all topics of [RoundTrip].
const RoundTripTopics = gateTopics + "#"

//go:embed files/users.sh
var usersScript string

// usersTime bounds one command: 250 users are imported one by one, each in a few
// milliseconds on an idle node.
const usersTime = 60 * time.Second

// MatchUsersArgs describe the step that makes EMQX's users, rules and authenticators those
// that are declared.
type MatchUsersArgs struct {
	// Required.

	// Job is the id of EMQX's job.
	Job string
	// Names are all users that there may be.
	Names []string
	// Access is what else is declared; it is asked for when the step is taken.
	Access func() (Access, error)

	// Optional.

	// May tells whether the rules let a client hold a subscription to a filter; nil: any.
	May func(c Client, filter string) bool
	// LeaveDrift: what somebody else has changed stays, and is told.
	LeaveDrift bool
	// Timeout of the step by itself.
	Timeout time.Duration
}

// MatchUsers is the step that makes running members have what is declared of who may connect
// and what they may do, without a restart: EMQX itself reads the files of its task only when
// it starts, and adds users then and no more. Authenticators and rules are written on all
// members at once, where one has others. Users of the file in the task are brought in as they
// are there, all others are removed. Who is connected as a user that was removed or changed
// is cut off, session and all, and who holds a subscription that the rules do not allow any
// more. That holds wherever a try ends: what is left to do stands in the database until it
// is done.
func MatchUsers(client NomadClient, args MatchUsersArgs) Step {
	return Step{
		Name: "match users", Timeout: args.Timeout,
		Next: "the log of EMQX on the node that it names: why it does not take what is declared",
		Do: func(ctx context.Context) (string, error) {
			m := userMatcher{client: client, args: args}
			if err := m.match(ctx); err != nil {
				return m.done(), fmt.Errorf("matching users: %w", err)
			}
			return m.done(), nil
		},
	}
}

// AccessDrift tells what running members have else than what is declared, in words; "" for
// nothing, and for what no update has applied yet. Nothing is changed.
func AccessDrift(ctx context.Context, client NomadClient, args MatchUsersArgs) (string, error) {
	m := userMatcher{client: client, args: args}
	err := m.prepare(ctx)
	if errors.Is(err, errOtherFiles) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("asking EMQX who may connect: %w", err)
	}
	return m.drift(), nil
}

type userMatcher struct {
	client  NomadClient
	args    MatchUsersArgs
	access  Access
	members []member
	alloc   string   // of the member through which all is written
	ids     []string // users of the database
	lost    bool     // there is no database

	put, righted, left      []string
	added, changed, removed []string
	cut                     int
}

// prepare asks what there is.
func (m *userMatcher) prepare(ctx context.Context) (err error) {
	if m.access, err = m.args.Access(); err != nil {
		return err
	}
	if err := m.look(ctx); err != nil {
		return err
	}
	m.ids, m.lost, err = m.users(ctx)
	return err
}

// wasApplied tells whether what is declared was so, everywhere: what differs is drift.
func (m *userMatcher) wasApplied() bool {
	return m.lost || slices.ContainsFunc(m.ids, func(id string) bool { return strings.HasPrefix(id, m.access.mark()) })
}

// drift is what somebody else has changed since, in words.
func (m *userMatcher) drift() string {
	if !m.wasApplied() {
		return ""
	}
	_, words := m.differing()
	if strangers := m.undeclared(); len(strangers) > 0 {
		words = append(words, "users that are not declared: "+OneLine(strings.Join(strangers, ", ")))
	}
	for _, name := range m.args.Names {
		if !m.lost && !slices.Contains(m.ids, name) {
			words = append(words, "no user "+name)
		}
	}
	return strings.Join(words, ", ")
}

func (m *userMatcher) match(ctx context.Context) error {
	if err := m.prepare(ctx); err != nil {
		return err
	}
	if m.args.LeaveDrift && m.wasApplied() {
		if drift := m.drift(); drift != "" {
			m.left = []string{drift}
			return nil
		}
	}
	marks := slices.DeleteFunc(slices.Clone(m.ids), func(id string) bool { return !strings.HasPrefix(id, applied) })
	parts, words := m.differing()
	told, drifted := parts, m.wasApplied()
	if !drifted && m.members[0].secrets { // what it does not show may be another
		parts = []string{ofChain, ofSettings, ofRules}
	}
	if current := len(parts) == 0 && len(marks) == 1 && marks[0] == m.access.mark()+m.starts(); current {
		return m.matchUsers(ctx)
	}
	if err := m.dropMarks(ctx, marks); err != nil {
		return err
	}
	if len(parts) > 0 {
		if err := m.change(ctx, parts); err != nil {
			return err
		}
		if m.put = told; drifted {
			m.put, m.righted = nil, words
		}
	}
	if err := m.matchUsers(ctx); err != nil {
		return err
	}
	if err := m.cutForbidden(ctx); err != nil {
		return err
	}
	return m.setMark(ctx)
}

// A user that EMQX does not take keeps nobody else connected.
func (m *userMatcher) matchUsers(ctx context.Context) error {
	return errors.Join(m.bring(ctx), m.remove(ctx))
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
	builtIn    = "password_based:built_in_database"
	usersPath  = "/authentication/password_based%3Abuilt_in_database/users"
	importPath = "/authentication/password_based%3Abuilt_in_database/import_users?type=hash"

	// toCut and a name is a user that nobody can be, beside one whose clients have still to
	// be cut off. users.sh writes it. No declared name begins like this.
	toCut = "emqx-oci-cut-"
	// nobodysHash is the hash of no password that anybody knows.
	nobodysHash = "$2a$10$....................................................."

	// DeviceMark with a name and "/" begins the name of a user that nobody can be, beside one that is a
	// device's: whoever adds a device makes it, and no step removes the two. No user's name holds a "/".
	DeviceMark = "emqx-oci-device/"
	// RevokedMark begins the name of one that tells of a device that was revoked.
	RevokedMark = "emqx-oci-revoked/"

	// usersAtOnce bounds the users of one command, whose arguments have to fit.
	usersAtOnce = 100
)

// remove takes away the users that are not declared, marks among them, and cuts off who is
// connected by them. They go last: as long as one is there, a next try finds it.
func (m *userMatcher) remove(ctx context.Context) (err error) {
	for {
		if m.ids, m.lost, err = m.users(ctx); err != nil {
			return err
		}
		ids := m.undeclared()
		if len(ids) == 0 {
			return nil
		}
		for some := range slices.Chunk(ids, usersAtOnce) {
			if err := m.cutAndDelete(ctx, some); err != nil {
				return err
			}
		}
	}
}

// users are those of the database; lost is one that is not there.
func (m *userMatcher) users(ctx context.Context) (ids []string, lost bool, err error) {
	type user struct {
		ID string `json:"user_id"`
	}
	err = pages(ctx, m, usersPath+"?", func(u user) { ids = append(ids, u.ID) })
	if answer := (*apiError)(nil); errors.As(err, &answer) && answer.status == "404" {
		return nil, true, nil
	}
	return ids, false, err
}

// undeclared are the users that nobody has declared, and that are no devices.
func (m *userMatcher) undeclared() (ids []string) {
	device := map[string]bool{}
	for _, id := range m.ids {
		if rest, ok := strings.CutPrefix(id, DeviceMark); ok {
			name, _, _ := strings.Cut(rest, "/")
			device[name] = true
		}
	}
	for _, id := range m.ids {
		kept := device[id] || slices.ContainsFunc([]string{applied, DeviceMark, RevokedMark}, func(mark string) bool { return strings.HasPrefix(id, mark) })
		if !kept && !slices.Contains(m.args.Names, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// cutAndDelete shuts users out, cuts off their clients, and deletes them, in this order: a
// client that is cut off comes back at once where it can.
func (m *userMatcher) cutAndDelete(ctx context.Context, ids []string) error {
	var locked []string
	names := make([]string, len(ids))
	for i, id := range ids {
		name, mark := strings.CutPrefix(id, toCut)
		names[i] = name
		if !mark {
			locked = append(locked, id)
		}
	}
	if err := m.lock(ctx, locked...); err != nil {
		return err
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

// lock makes users nobody can be of these, or of new ones.
func (m *userMatcher) lock(ctx context.Context, ids ...string) error {
	type record struct {
		ID        string `json:"user_id"`
		Hash      string `json:"password_hash"`
		Salt      string `json:"salt"`
		Superuser bool   `json:"is_superuser"`
	}
	if len(ids) == 0 {
		return nil
	}
	records := make([]record, len(ids))
	for i, id := range ids {
		records[i] = record{ID: id, Hash: nobodysHash}
	}
	body, err := json.Marshal(records)
	if err != nil {
		return err
	}
	return m.ask(ctx, "POST", importPath, string(body), nil)
}

// kick ends the connections and sessions of clients, on all members.
func (m *userMatcher) kick(ctx context.Context, ids []string) error {
	body, err := json.Marshal(ids)
	if err != nil {
		return err
	}
	if err := m.ask(ctx, "POST", "/clients/kickout/bulk", string(body), nil); err != nil {
		return err
	}
	m.cut += len(ids)
	return nil
}

// cutOff ends the connections and sessions of users, on all members, until there are none.
func (m *userMatcher) cutOff(ctx context.Context, names []string) error {
	of := url.Values{"fields": {"clientid,username"}, "limit": {"1000"}, "username": names}
	for ctx.Err() == nil {
		var list struct{ Data []Client }
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
		if err := m.kick(ctx, ids); err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

// apiError is an answer of EMQX's other than 2xx.
type apiError struct{ question, status, text string }

func (e *apiError) Error() string {
	return fmt.Sprintf("%s: EMQX answers %s: %s", e.question, OneLine(e.status), OneLine(e.text))
}

// ask asks the member's API; an answer other than 2xx is an error.
func (m *userMatcher) ask(ctx context.Context, method, path, body string, into any) error {
	out, err := m.run(ctx, "ask", method, path, body)
	if err != nil {
		return err
	}
	text, err := readAsked(method, path, out)
	if err != nil || into == nil {
		return err
	}
	if err := json.Unmarshal([]byte(text), into); err != nil {
		return fmt.Errorf("%s %s: reading EMQX's answer: %w", method, path, err)
	}
	return nil
}

// readAsked is the body of an answer.
func readAsked(method, path, output string) (string, error) {
	_, answer, _ := strings.Cut(output, answerMark)
	status, text, _ := strings.Cut(answer, "\n")
	if !strings.HasPrefix(status, "2") {
		return "", &apiError{method + " " + path, status, text}
	}
	return text, nil
}

func (m *userMatcher) run(ctx context.Context, command ...string) (string, error) {
	return m.runIn(ctx, m.alloc, command...)
}

func (m *userMatcher) runIn(ctx context.Context, alloc string, command ...string) (string, error) {
	limit := strconv.Itoa(int(usersTime.Seconds()))
	r, _, err := execWithin(ctx, m.client, usersTime+sessionTime, alloc, cluster.EMQXTask,
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
	}{
		{"left as somebody else has it, by auth.drift:", m.left},
		{"put right what somebody else had changed:", m.righted},
		{"applied", m.put},
		{"added", m.added},
		{"changed", m.changed},
		{"removed", m.removed},
	} {
		if len(x.names) > 0 {
			parts = append(parts, x.what+" "+OneLine(strings.Join(x.names, ", ")))
		}
	}
	if m.cut > 0 {
		parts = append(parts, fmt.Sprintf("clients cut off: %d", m.cut))
	}
	return strings.Join(parts, "; ")
}
