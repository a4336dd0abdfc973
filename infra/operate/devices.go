package operate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/emqx-oci/emqx-oci/components/certs"
	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/infra/gates"
)

// DevicesConfig says what devices of the stack there may be.
type DevicesConfig struct {
	// Open: everybody may connect, so there are none.
	Open bool
	// Users are the stack's own, whose names no device has.
	Users []string
	// Hash makes what EMQX keeps of a password. Required unless the stack is open.
	Hash func(password string) (string, error)
	// Authority signs the certificates of devices; nil: they have passwords alone.
	Authority *certs.DeviceAuthority
	// Keys are Consul's. Required unless the stack is open.
	Keys gates.KeyClient
	// ProxyTask is the task of the proxy's job, and Refused the command in it that prints the list of revoked certificates
	// by which it refuses new connections.
	ProxyTask string
	Refused   []string
}

// What a device shows when it connects.
const (
	KindPassword    = "password"
	KindCertificate = "certificate"
)

// States of a device.
const (
	// DeviceIn may connect.
	DeviceIn = "in"
	// DeviceLeaving is shut out by a revocation that has not come to its end: it may still be connected.
	DeviceLeaving = "leaving"
	// DeviceRevoked is out.
	DeviceRevoked = "revoked"
)

// Device is one device, or a revoked one as long as it is remembered.
type Device struct {
	Name string `json:"name"`
	// Kind is password or certificate.
	Kind  string    `json:"kind"`
	Added time.Time `json:"added"`
	// State is in, leaving or revoked.
	State string `json:"state"`
	// Serial is the number of its certificate, Ends when that ends; none with a password.
	Serial string     `json:"serial,omitempty"`
	Ends   *time.Time `json:"ends,omitempty"`
	// Revoked is when it was.
	Revoked *time.Time `json:"revoked,omitempty"`
	// Connections are those of its user name now, sessions without a connection not counted.
	Connections int `json:"connections"`
}

// The marks of devices are users of EMQX's database that nobody can be, whose names say what the database itself does not
// keep. No name of a user holds a "/". They are on all members, and in each backup.
//
//	emqx-oci-device/NAME/KIND/ADDED[/SERIAL/END]
//	emqx-oci-device/NAME/leaving
//	emqx-oci-revoked/NAME/KIND/ADDED/REVOKED/FORGET[/SERIAL/END]
//
// Times are seconds since 1970.
type mark struct {
	id     string
	device Device
	forget time.Time
}

const leavingMark = "leaving"

// remembered is how long a revoked password is, and a revoked certificate at the least.
const remembered = 30 * 24 * time.Hour

// certificateSalt is what emqx_oci_devices.erl looks for in the user of a device with a certificate.
const certificateSalt = "emqx-oci-certificate"

func seconds(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }

// tail is what the names of marks end with for a certificate.
func (d Device) tail() string {
	if d.Kind != KindCertificate || d.Ends == nil {
		return ""
	}
	return "/" + d.Serial + "/" + seconds(*d.Ends)
}

func (d Device) mark() string {
	return gates.DeviceMark + d.Name + "/" + d.Kind + "/" + seconds(d.Added) + d.tail()
}

// revokedMark also says until when the revocation is remembered: a certificate's for as long as it would be good.
func (d Device) revokedMark(at time.Time) string {
	forget := at.Add(remembered)
	if d.Ends != nil && d.Ends.After(forget) {
		forget = *d.Ends
	}
	return gates.RevokedMark + d.Name + "/" + d.Kind + "/" + seconds(d.Added) + "/" + seconds(at) + "/" + seconds(forget) + d.tail()
}

// readMark reads the name of a user that is a mark.
func readMark(id string) (m mark, ok bool) {
	rest, in := strings.CutPrefix(id, gates.DeviceMark)
	revoked := false
	if !in {
		if rest, revoked = strings.CutPrefix(id, gates.RevokedMark); !revoked {
			return m, false
		}
	}
	parts := strings.Split(rest, "/")
	m = mark{id: id, device: Device{Name: parts[0], State: DeviceIn}}
	if in && len(parts) == 2 && parts[1] == leavingMark {
		m.device.State = DeviceLeaving
		return m, true
	}
	faulty := false
	next := func() (text string) {
		if len(parts) == 0 {
			faulty = true
			return ""
		}
		text, parts = parts[0], parts[1:]
		return text
	}
	when := func() time.Time {
		n, err := strconv.ParseInt(next(), 10, 64)
		faulty = faulty || err != nil
		return time.Unix(n, 0).UTC()
	}
	next()
	m.device.Kind, m.device.Added = next(), when()
	if revoked {
		at := when()
		m.device.State, m.device.Revoked, m.forget = DeviceRevoked, &at, when()
	}
	if m.device.Kind == KindCertificate {
		m.device.Serial = next()
		ends := when()
		m.device.Ends = &ends
	}
	return m, !faulty && len(parts) == 0
}

var userName = regexp.MustCompile(cluster.UserPattern)

// mayBe tells why a name cannot be a device's.
func (c *Cluster) mayBe(name string) error {
	switch {
	case c.DevicesConfig.Open:
		return errors.New("the stack has no devices: auth.anonymous lets everybody in")
	case !userName.MatchString(name):
		return fmt.Errorf("the name must be 1 to 64 letters, digits and ._@:-, got %q", name)
	case strings.HasPrefix(name, "emqx-oci-"):
		return fmt.Errorf("the name must not begin with emqx-oci-, as the stack's own users do, got %q", name)
	case slices.Contains(c.DevicesConfig.Users, name):
		return fmt.Errorf("%s is one of auth.users: the stack file says who that is", name)
	}
	return nil
}

// onMember does something by the API of a member; one that does not answer is passed over for the next.
func (c *Cluster) onMember(ctx context.Context, do func(*gates.UsersAPI) error) error {
	asked := map[string]bool{}
	var last error
	for {
		api, err := gates.NewUsersAPI(ctx, c.Nomad, c.BrokerJob, func(alloc string) bool { return asked[alloc] })
		if err != nil {
			return cmp.Or(last, err)
		}
		asked[api.Alloc()] = true
		if last = do(api); last == nil || ctx.Err() != nil || gates.Answered(last) {
			return last
		}
	}
}

// marks are those of one device, or of all.
func (c *Cluster) marks(ctx context.Context, name string) (all []mark, err error) {
	err = c.onMember(ctx, func(api *gates.UsersAPI) error {
		all = nil
		for _, prefix := range []string{gates.DeviceMark, gates.RevokedMark} {
			if name != "" {
				prefix += name + "/"
			}
			ids, err := api.Users(ctx, prefix)
			if err != nil {
				return err
			}
			for _, id := range ids {
				if m, ok := readMark(id); ok && (name == "" || m.device.Name == name) {
					all = append(all, m)
				}
			}
		}
		return nil
	})
	return all, err
}

// Devices lists all devices by name, and those that were revoked as long as that is remembered: 30 days, and a certificate
// until it ends.
func (c *Cluster) Devices(ctx context.Context) ([]Device, error) {
	if c.DevicesConfig.Open {
		return nil, fmt.Errorf("listing devices: %w", c.mayBe(""))
	}
	marks, err := c.marks(ctx, "")
	if err != nil {
		return nil, fmt.Errorf("listing devices: %w", err)
	}
	var connections map[string]int
	if err := c.onMember(ctx, func(api *gates.UsersAPI) (err error) {
		connections, err = api.Connections(ctx)
		return err
	}); err != nil {
		return nil, fmt.Errorf("listing devices: %w", err)
	}
	leaving := map[string]bool{}
	for _, m := range marks {
		leaving[m.device.Name] = leaving[m.device.Name] || m.device.State == DeviceLeaving
	}
	devices := []Device{}
	for _, m := range marks {
		d := m.device
		if d.Kind == "" || d.State == DeviceRevoked && m.forget.Before(c.Clock.Now()) {
			continue
		}
		if d.State == DeviceIn {
			d.Connections = connections[d.Name]
			if leaving[d.Name] {
				d.State = DeviceLeaving
			}
		}
		devices = append(devices, d)
	}
	slices.SortFunc(devices, func(a, b Device) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), a.Added.Compare(b.Added), strings.Compare(a.State, b.State))
	})
	return devices, nil
}
