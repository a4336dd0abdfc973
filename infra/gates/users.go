package gates

import (
	"context"
	_ "embed" // the script
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
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
// file in the task are brought in as they are there, all others but devices are removed. Who is connected
// as a user that was removed, or that was changed, is cut off, sessions and all. That holds
// wherever a try ends: what is left to do stands in the database until it is done.
func MatchUsers(client NomadClient, args MatchUsersArgs) Step {
	return Step{
		Name: "match users", Timeout: args.Timeout,
		Next: "whether somebody took the authenticator password_based:built_in_database out of EMQX in the dashboard: a restart of the node brings it back",
		Do: func(ctx context.Context) (string, error) {
			m := userMatcher{args: args}
			err := m.match(ctx, client)
			return m.done(), err
		},
	}
}

type userMatcher struct {
	*UsersAPI

	args                    MatchUsersArgs
	added, changed, removed []string
	cut                     int
}

func (m *userMatcher) match(ctx context.Context, client NomadClient) (err error) {
	if m.UsersAPI, err = NewUsersAPI(ctx, client, m.args.Job, nil); err != nil {
		return fmt.Errorf("matching users: %w", err)
	}
	if err := m.noDevices(ctx); err != nil {
		return fmt.Errorf("matching users: %w", err)
	}
	// A user that EMQX does not take keeps nobody else connected.
	if err := errors.Join(m.bring(ctx), m.remove(ctx)); err != nil {
		return fmt.Errorf("matching users: %w", err)
	}
	return nil
}

// noDevices finds declared users that are devices.
func (m *userMatcher) noDevices(ctx context.Context) error {
	devices, err := m.devices(ctx)
	if err != nil {
		return err
	}
	var both []string
	for _, name := range m.args.Names {
		if devices[name] {
			both = append(both, OneLine(name))
		}
	}
	if len(both) > 0 {
		return fmt.Errorf("auth.users must not name a device: %s; revoke it by \"emqx-oci device revoke\", or give the user another name", joinSome(both))
	}
	return nil
}

// devices are the names beside which there is a [DeviceMark].
func (m *userMatcher) devices(ctx context.Context) (map[string]bool, error) {
	marks, err := m.Users(ctx, DeviceMark)
	names := map[string]bool{}
	for _, mark := range marks {
		if rest, ok := strings.CutPrefix(mark, DeviceMark); ok {
			name, _, _ := strings.Cut(rest, "/")
			names[name] = true
		}
	}
	return names, err
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
	// toCut and a name is a user that nobody can be, beside one whose clients have still to
	// be cut off. users.sh writes it. No declared name begins like this.
	toCut = "emqx-oci-cut-"
	// DeviceMark, a name and "/" begin the name of a user that nobody can be, beside one that is a device's: "emqx-oci
	// device add" has made it, and no step removes it. No user's name holds a "/".
	DeviceMark = "emqx-oci-device/"
	// RevokedMark begins the name of one that tells of a certificate whose device was revoked. It says nothing about
	// the user of that name.
	RevokedMark = "emqx-oci-revoked/"

	// usersAtOnce bounds the users of one command, whose arguments have to fit.
	usersAtOnce = 100
)

// remove takes away the users that are not declared, marks among them, and cuts off who is
// connected by them. They go last: as long as one is there, a next try finds it. Devices stay.
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

// undeclared are the users of the database that are neither declared nor devices.
func (m *userMatcher) undeclared(ctx context.Context) (ids []string, err error) {
	all, err := m.Users(ctx, "")
	if err != nil {
		return nil, err
	}
	ids = slices.DeleteFunc(all, func(id string) bool {
		return slices.Contains(m.args.Names, id) || strings.HasPrefix(id, DeviceMark) || strings.HasPrefix(id, RevokedMark)
	})
	if len(ids) == 0 {
		return nil, nil
	}
	// A device's mark comes with its user, in one transaction: asked for now, it is there for each that was listed.
	devices, err := m.devices(ctx)
	return slices.DeleteFunc(ids, func(id string) bool { return devices[id] }), err
}

// cutAndDelete shuts users out, cuts off their clients, and deletes them, in this order: a
// client that is cut off comes back at once where it can.
func (m *userMatcher) cutAndDelete(ctx context.Context, ids []string) error {
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
	if err != nil {
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
