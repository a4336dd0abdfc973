package operate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/infra/gates"
)

// Revoked is what a revocation did.
type Revoked struct {
	Device string `json:"device"`
	// Kinds are those that it had; none: it was out before.
	Kinds []string `json:"kinds,omitempty"`
	// Cut are the connections and sessions that were ended.
	Cut int `json:"cut"`
	// At is when it was revoked: now, or before.
	At time.Time `json:"at"`
}

// stragglers is how long after the lock a client may be let in that was asked for its password before: bcrypt takes 0.06 s
// on an idle node.
const stragglers = time.Second

// Revoke shuts a device out and cuts it off, on all members. It may be done again, and has to be where it did not come to
// its end. In this order:
//
//  1. EMQX: its user gets the hash of no password, and the mark that it is leaving, in one transaction. From here on it
//     cannot connect, by neither kind, whatever happens to this command.
//  2. EMQX: its connections and sessions are ended, until there are none.
//  3. Consul: the number of its certificate is in the list that the proxies refuse, for a later device of the same name.
//  4. EMQX: the mark of the revocation is written; the marks of the device go, that it is leaving last. Its user stays as it
//     is by then: a name that the database does not know is asked about at the other authenticators.
func (c *Cluster) Revoke(ctx context.Context, name string) (Revoked, error) {
	r, err := c.revoke(ctx, name)
	if err != nil {
		return r, fmt.Errorf("revoking device %s: %w", gates.OneLine(name), err)
	}
	return r, nil
}

func (c *Cluster) revoke(ctx context.Context, name string) (Revoked, error) {
	r := Revoked{Device: name, At: c.Clock.Now().UTC().Truncate(time.Second)}
	if err := c.mayBe(name); err != nil {
		return r, err
	}
	marks, err := c.marks(ctx, name)
	if err != nil {
		return r, err
	}
	is := slices.ContainsFunc(marks, func(m mark) bool { return m.device.State != DeviceRevoked })
	switch {
	case len(marks) == 0:
		return r, errors.New("there is no device of that name, and nobody was revoked")
	case !is:
		for _, m := range marks {
			r.At = *m.device.Revoked
		}
		if err := c.shutOut(ctx, name); err != nil {
			return r, err
		}
		return r, c.refuse(ctx, marks)
	}
	if err := c.shutOut(ctx, name, gates.DeviceMark+name+"/"+leavingMark); err != nil {
		return r, err
	}
	if r.Cut, err = c.cutOff(ctx, name); err != nil {
		return r, fmt.Errorf("it cannot connect any more, and may still be connected: run it again: %w", err)
	}
	for i, m := range marks {
		if m.device.State == DeviceIn {
			r.Kinds = append(r.Kinds, m.device.Kind)
			marks[i].device.State, marks[i].device.Revoked = DeviceRevoked, &r.At
		}
	}
	if err := c.refuse(ctx, marks); err != nil {
		return r, fmt.Errorf("it is out, and the proxies do not know its certificate yet: run it again: %w", err)
	}
	if err := c.forgetDevice(ctx, name, marks, r.At); err != nil {
		return r, fmt.Errorf("it is out, and still has marks in EMQX: run it again: %w", err)
	}
	return r, nil
}

// shutOut makes users that nobody can be, in one transaction.
func (c *Cluster) shutOut(ctx context.Context, names ...string) error {
	users := make([]gates.UserRecord, len(names))
	for i, name := range names {
		users[i] = gates.UserRecord{ID: name, Hash: gates.NobodysHash}
	}
	return c.onMember(ctx, func(api *gates.UsersAPI) error { return api.Import(ctx, users...) })
}

// cutOff ends what is connected, and again what came in while it was shut out.
func (c *Cluster) cutOff(ctx context.Context, name string) (cut int, err error) {
	for {
		var n int
		err := c.onMember(ctx, func(api *gates.UsersAPI) (err error) {
			n, err = api.CutOff(ctx, []string{name})
			cut += n
			return err
		})
		if err != nil {
			return cut, err
		}
		if err := c.Clock.Sleep(ctx, stragglers); err != nil {
			return cut, err
		}
		again := 0
		err = c.onMember(ctx, func(api *gates.UsersAPI) (err error) {
			again, err = api.CutOff(ctx, []string{name})
			return err
		})
		if cut += again; err != nil || again == 0 {
			return cut, err
		}
	}
}

// forgetDevice replaces the marks of a device by those of its revocation.
func (c *Cluster) forgetDevice(ctx context.Context, name string, marks []mark, at time.Time) error {
	return c.onMember(ctx, func(api *gates.UsersAPI) error {
		var revoked []gates.UserRecord
		var gone []string
		for _, m := range marks {
			switch {
			case m.device.State == DeviceLeaving:
			case strings.HasPrefix(m.id, gates.DeviceMark):
				gone = append(gone, m.id)
				told := func(o mark) bool { // by a try that has not come to its end
					return strings.HasPrefix(o.id, gates.RevokedMark) && o.device.Kind == m.device.Kind && o.device.Added.Equal(m.device.Added)
				}
				if !slices.ContainsFunc(marks, told) {
					revoked = append(revoked, gates.UserRecord{ID: m.device.revokedMark(at), Hash: gates.NobodysHash})
				}
			case m.forget.Before(c.Clock.Now()):
				gone = append(gone, m.id)
			}
		}
		if len(revoked) > 0 {
			if err := api.Import(ctx, revoked...); err != nil {
				return err
			}
		}
		for _, id := range append(gone, gates.DeviceMark+name+"/"+leavingMark) {
			if err := api.Delete(ctx, id); err != nil {
				return err
			}
		}
		return nil
	})
}

// maxList is what Consul keeps in one key (512 kB).
const maxList = 512 * 1024

// refuse brings the certificates that are revoked into the list that the proxies read, and takes those out that have ended.
// A line is a serial number and the second at which that certificate ends.
func (c *Cluster) refuse(ctx context.Context, marks []mark) error {
	key := cluster.RevokedKey(c.Environment)
	for {
		now := c.Clock.Now()
		wanted := map[string]bool{}
		for _, m := range marks {
			if d := m.device; d.State == DeviceRevoked && d.Ends != nil && d.Ends.After(now) {
				wanted[d.Serial+" "+seconds(*d.Ends)] = true
			}
		}
		if len(wanted) == 0 {
			return nil
		}
		text, version, err := c.DevicesConfig.Keys.Key(ctx, key)
		if err != nil {
			return err
		}
		var list []string
		for line := range strings.Lines(text) {
			line = strings.TrimSpace(line)
			_, end, _ := strings.Cut(line, " ")
			if ends, err := strconv.ParseInt(end, 10, 64); err == nil && time.Unix(ends, 0).After(now) {
				list = append(list, line)
				delete(wanted, line)
			}
		}
		if len(wanted) == 0 {
			return nil
		}
		for line := range wanted {
			list = append(list, line)
		}
		slices.Sort(list)
		value := strings.Join(list, "\n") + "\n"
		if len(value) > maxList {
			return fmt.Errorf("Consul's key %s holds no more than %d bytes, about %d revoked certificates that have not ended", key, maxList, len(list)-1) //nolint:staticcheck // a name
		}
		if done, err := c.DevicesConfig.Keys.SetKey(ctx, key, value, version); err != nil || done {
			return err
		}
	}
}
