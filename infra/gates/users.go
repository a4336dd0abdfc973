package gates

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// RoundTripTopics is the filter of all topics of [RoundTrip].
const RoundTripTopics = gateTopics + "#"

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
	// Alone: nobody may connect whom the database does not know. Who is connected all the same, as a
	// user that somebody else has deleted, is cut off where subscriptions are looked at.
	Alone bool
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
	*UsersAPI // of the member through which all is written

	client  NomadClient
	args    MatchUsersArgs
	access  Access
	members []member
	ids     []string        // users of the database
	devices map[string]bool // those among them that are devices
	revoked map[string]bool // names of devices that were revoked
	lost    bool            // there is no database

	put, righted, left      []string
	added, changed, removed []string
	shut                    []string // revoked names that nobody kept from coming back
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
	return m.list(ctx)
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
	if unseen := m.members[0].unseen; len(words) > 0 && len(unseen) > 0 {
		words = append(words, "and maybe secrets of "+strings.Join(unseen, " and ")+", which EMQX does not show")
	}
	return strings.Join(words, ", ")
}

func (m *userMatcher) match(ctx context.Context) error {
	if err := m.prepare(ctx); err != nil {
		return err
	}
	if err := m.noDevices(); err != nil {
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
	unseen := m.members[0].unseen
	if !drifted && len(unseen) > 0 { // what it does not show may be another
		parts = []string{ofChain, ofSettings, ofRules}
	}
	if current := len(parts) == 0 && len(marks) == 1 && marks[0] == m.access.mark()+m.starts(); current {
		if len(unseen) > 0 && !m.args.LeaveDrift { // nobody can see whether they are those of the stack
			if err := m.change(ctx, unseen); err != nil {
				return err
			}
		}
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

// noDevices finds declared users that are devices.
func (m *userMatcher) noDevices() error {
	var both []string
	for _, name := range m.args.Names {
		if m.devices[name] {
			both = append(both, OneLine(name))
		}
	}
	if len(both) > 0 {
		return fmt.Errorf("auth.users must not name a device: %s; revoke it by \"emqx-oci device revoke\", or give the user another name", joinSome(both))
	}
	return nil
}

// A user that EMQX does not take keeps nobody else connected.
func (m *userMatcher) matchUsers(ctx context.Context) error {
	return errors.Join(m.bring(ctx), m.remove(ctx), m.lockRevoked(ctx))
}

// lockRevoked gives revoked devices back the user that shuts them out, where somebody has taken it away.
func (m *userMatcher) lockRevoked(ctx context.Context) error {
	missing := slices.Sorted(maps.Keys(m.revoked))
	missing = slices.DeleteFunc(missing, func(name string) bool {
		return m.devices[name] || slices.Contains(m.ids, name) || slices.Contains(m.args.Names, name)
	})
	for some := range slices.Chunk(missing, usersAtOnce) {
		if err := m.shutOut(ctx, some); err != nil {
			return err
		}
		m.shut = append(m.shut, some...)
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

// Users that nobody can be, whose names are marks: what the database itself does not keep. No
// declared name begins like one of these.
const (
	// applied tells, by the database that all members share and keep, what was declared when
	// all members were last as declared, and which starts of theirs that was.
	applied = "emqx-oci-applied-"
	// toCut and a name stands beside one whose clients have still to be cut off. users.sh
	// writes it.
	toCut = "emqx-oci-cut-"
	// DeviceMark with a name and "/" stands beside one that is a device's: "emqx-oci device add"
	// makes it, and no step removes the two. No user's name holds a "/".
	DeviceMark = "emqx-oci-device/"
	// RevokedMark with a name and "/" tells of a device that was revoked. Its user stays, with the hash of no password: as
	// long as the database knows a name, no other authenticator is asked about it.
	RevokedMark = "emqx-oci-revoked/"
)

// usersAtOnce bounds the users of one command, whose arguments have to fit.
const usersAtOnce = 100

// remove takes away the users that are not declared, marks among them, and cuts off who is
// connected by them. They go last: as long as one is there, a next try finds it.
func (m *userMatcher) remove(ctx context.Context) error {
	for {
		if err := m.list(ctx); err != nil {
			return err
		}
		if slices.Contains(m.ids, "") {
			if err := m.shutOut(ctx, []string{""}); err != nil {
				return err
			}
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

// list asks for the users of the database, and which of them are devices.
func (m *userMatcher) list(ctx context.Context) (err error) {
	m.ids, err = m.Users(ctx, "")
	if m.lost = errors.Is(err, errNoDatabase); m.lost {
		err = nil
	}
	m.devices, m.revoked = map[string]bool{}, map[string]bool{}
	m.noteDevices(m.ids)
	if err != nil || len(m.undeclared()) == 0 {
		return err
	}
	// A device's mark comes with its user, in one transaction, and goes once that of its revocation
	// is there: asked for now and in this order, one is there for each that was listed, whatever page
	// of the list it would have been on.
	for _, mark := range []string{DeviceMark, RevokedMark} {
		marks, err := m.Users(ctx, mark)
		if err != nil {
			return err
		}
		m.noteDevices(marks)
	}
	return nil
}

// noteDevices notes the names beside which there is a [DeviceMark] or a [RevokedMark].
func (m *userMatcher) noteDevices(ids []string) {
	for _, id := range ids {
		for mark, names := range map[string]map[string]bool{DeviceMark: m.devices, RevokedMark: m.revoked} {
			if rest, ok := strings.CutPrefix(id, mark); ok {
				name, _, _ := strings.Cut(rest, "/")
				names[name] = true
			}
		}
	}
}

// undeclared are the users that nobody has declared, and that are no devices, and were none. The one with an empty name, which
// somebody may have brought in, has no path by which EMQX would delete it: it is shut out, and stays.
func (m *userMatcher) undeclared() (ids []string) {
	for _, id := range m.ids {
		kept := id == "" || m.devices[id] || m.revoked[id] ||
			slices.ContainsFunc([]string{applied, DeviceMark, RevokedMark}, func(mark string) bool { return strings.HasPrefix(id, mark) })
		if !kept && !slices.Contains(m.args.Names, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// cutAndDelete shuts users out, cuts off their clients, and deletes them, in this order: a
// client that is cut off comes back at once where it can.
func (m *userMatcher) cutAndDelete(ctx context.Context, ids []string) error {
	if err := m.shutOut(ctx, ids); err != nil {
		return err
	}
	for _, id := range ids {
		if err := m.Delete(ctx, id); err != nil {
			return err
		}
		if !strings.HasPrefix(id, toCut) {
			m.removed = append(m.removed, id)
		}
	}
	return nil
}

// shutOut leaves nobody connected as one of these users, and lets nobody in.
func (m *userMatcher) shutOut(ctx context.Context, ids []string) error {
	var locked []UserRecord
	names := make([]string, len(ids))
	for i, id := range ids {
		name, mark := strings.CutPrefix(id, toCut)
		names[i] = name
		if !mark {
			locked = append(locked, UserRecord{ID: id, Hash: NobodysHash})
		}
	}
	if len(locked) > 0 {
		if err := m.Import(ctx, locked...); err != nil {
			return err
		}
	}
	cut, err := m.CutOff(ctx, names)
	m.cut += cut
	return err
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
		{"shut out again", m.shut},
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
