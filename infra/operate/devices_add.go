package operate

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	nomad "github.com/hashicorp/nomad/api"

	"github.com/emqx-oci/emqx-oci/components/certs"
	"github.com/emqx-oci/emqx-oci/infra/gates"
)

// AddDevice are the choices of a new device.
type AddDevice struct {
	Name string
	// Certificate: it shows one of the stack's own authority, else a password.
	Certificate bool
	// Request is that of a device that has made its own key; nil makes one.
	Request *x509.CertificateRequest
	// Lasts is for how long its certificate is good; the authority's end bounds it.
	Lasts time.Duration
	// Keep is given what the device needs before it can get in: what is kept nowhere else. Its error ends the adding.
	Keep func(Credential) error
	// Report is told what is waited for.
	Report func(line string)
}

// Credential is what a device shows. The stack keeps neither password nor key.
type Credential struct {
	Device Device
	// Password, or Certificate with the Key that was made for it, both as PEM.
	Password         string
	Certificate, Key string
}

// passwordBytes make a password that nobody guesses, whatever its hash takes.
const passwordBytes = 24

// Add adds a device, which may connect from then on. One of that name must not be there. The mark of a device and the user
// by whom it gets in come in one transaction of EMQX's: an end in the middle leaves both or none.
func (c *Cluster) Add(ctx context.Context, o AddDevice) (Device, error) {
	d, err := c.add(ctx, o)
	if err != nil {
		return d, fmt.Errorf("adding device %s: %w", gates.OneLine(o.Name), err)
	}
	return d, nil
}

func (c *Cluster) add(ctx context.Context, o AddDevice) (Device, error) {
	if err := c.mayBe(o.Name); err != nil {
		return Device{}, err
	}
	if o.Certificate && c.DevicesConfig.Authority == nil {
		return Device{}, errors.New("the stack has no authority for devices: set tls.deviceCa and secrets.deviceCaKey, which `emqx-oci device init` makes")
	}
	marks, err := c.marks(ctx, o.Name)
	if err != nil {
		return Device{}, err
	}
	if err := absent(marks); err != nil {
		return Device{}, err
	}
	if len(marks) == 0 { // the user of one that was revoked is what shuts it out
		if err := c.noStranger(ctx, o.Name); err != nil {
			return Device{}, err
		}
	}
	if o.Certificate {
		if err := c.earlierAreRefused(ctx, marks, o.Report); err != nil {
			return Device{}, err
		}
	}
	credential, user, err := c.credential(o)
	if err != nil {
		return Device{}, err
	}
	if err := o.Keep(credential); err != nil {
		return Device{}, err
	}
	err = c.onMember(ctx, func(api *gates.UsersAPI) error {
		return api.Import(ctx, gates.UserRecord{ID: credential.Device.mark(), Hash: gates.NobodysHash}, user)
	})
	if err != nil {
		return credential.Device, c.sawAdded(ctx, credential.Device, err)
	}
	return credential.Device, nil
}

// sawAdded tells, where the answer was lost, whether the device is in all the same.
func (c *Cluster) sawAdded(ctx context.Context, d Device, err error) error {
	if gates.Answered(err) {
		return err
	}
	marks, asked := c.marks(context.WithoutCancel(ctx), d.Name)
	if asked == nil && slices.ContainsFunc(marks, func(m mark) bool { return m.id == d.mark() }) {
		return nil
	}
	return err
}

// absent tells why a name cannot be added.
func absent(marks []mark) error {
	for _, m := range marks {
		switch m.device.State {
		case DeviceLeaving:
			return errors.New("its revocation has not come to its end: run `emqx-oci device revoke` again")
		case DeviceIn:
			if slices.ContainsFunc(marks, func(o mark) bool { return o.device.State == DeviceLeaving }) {
				continue
			}
			return fmt.Errorf("it is there, by a %s, since %s: nobody can read its password or key again; `emqx-oci device revoke` it first",
				m.device.Kind, m.device.Added.Format(time.DateTime))
		}
	}
	return nil
}

// noStranger: EMQX has a user of that name whom neither the stack nor this command has made. An update removes it.
func (c *Cluster) noStranger(ctx context.Context, name string) error {
	return c.onMember(ctx, func(api *gates.UsersAPI) error {
		names, err := api.Users(ctx, name)
		if err == nil && slices.Contains(names, name) {
			err = errors.New("EMQX has a user of that name that is no device: `emqx-oci up` removes it, or adds it to auth.users what made it")
		}
		return err
	})
}

// credential makes what the device shows, and the user that lets it in.
func (c *Cluster) credential(o AddDevice) (Credential, gates.UserRecord, error) {
	now := c.Clock.Now()
	d := Device{Name: o.Name, Kind: KindPassword, Added: now.UTC().Truncate(time.Second), State: DeviceIn}
	user := gates.UserRecord{ID: o.Name}
	if !o.Certificate {
		var b [passwordBytes]byte
		if _, err := rand.Read(b[:]); err != nil {
			return Credential{}, user, err
		}
		password := base64.RawURLEncoding.EncodeToString(b[:])
		var err error
		user.Hash, err = c.DevicesConfig.Hash(password)
		return Credential{Device: d, Password: password}, user, err
	}
	var r Credential
	var public any
	if o.Request != nil {
		if cn := o.Request.Subject.CommonName; cn != "" && cn != o.Name {
			return r, user, fmt.Errorf("the request is that of %q", cn)
		}
		public = o.Request.PublicKey
	} else {
		key, err := certs.NewClientKey()
		if err != nil {
			return r, user, err
		}
		if r.Key, err = certs.KeyPEM(key); err != nil {
			return r, user, err
		}
		public = key.Public()
	}
	x, err := c.DevicesConfig.Authority.SignClient(o.Name, public, o.Lasts, now)
	if err != nil {
		return r, user, err
	}
	ends := x.NotAfter.UTC()
	d.Kind, d.Serial, d.Ends = KindCertificate, certs.Serial(x), &ends
	r.Device, r.Certificate = d, certs.PEM(x)
	user.Hash, user.Salt = gates.NobodysHash, certificateSalt
	return r, user, nil
}

const (
	// refusedPatience is how long is waited until all proxies refuse a certificate of earlier: they read a new list one
	// after another, 5 s apart, after up to 10 s of Nomad's own.
	refusedPatience = 30 * time.Second
	refusedSpread   = 5 * time.Second
	refusedPause    = 2 * time.Second
)

// earlierAreRefused waits until every proxy that runs refuses the certificates that a device of this name had before: the
// name alone does not tell them from the new one.
func (c *Cluster) earlierAreRefused(ctx context.Context, marks []mark, report func(string)) error {
	var serials []string
	for _, m := range marks {
		if m.device.State == DeviceRevoked && m.device.Ends != nil && m.device.Ends.After(c.Clock.Now()) {
			serials = append(serials, m.device.Serial)
		}
	}
	if len(serials) == 0 {
		return nil
	}
	if err := c.refuse(ctx, marks); err != nil { // it is in the list, unless somebody emptied that
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, refusedPatience+time.Duration(len(c.Nodes))*refusedSpread, errors.New("not in time"))
	defer cancel()
	told := ""
	for {
		waits, err := c.doesNotRefuse(ctx, serials)
		if err == nil && waits == "" {
			return nil
		}
		if err != nil {
			waits = err.Error()
		}
		if line := "waiting until the proxies refuse the certificate of earlier: " + waits; line != told && report != nil {
			report(line)
			told = line
		}
		if err := c.Clock.Sleep(ctx, refusedPause); err != nil {
			return fmt.Errorf("an earlier certificate of that name could still be shown: %s: %w", waits, err)
		}
	}
}

// doesNotRefuse names a proxy that does not refuse all of the certificates yet.
func (c *Cluster) doesNotRefuse(ctx context.Context, serials []string) (node string, err error) {
	allocs, err := c.Nomad.Allocations(ctx, c.Proxy.Job)
	if err != nil {
		return "", err
	}
	for _, a := range allocs {
		if a.ClientStatus != nomad.AllocClientStatusRunning && a.ClientStatus != nomad.AllocClientStatusUnknown {
			continue
		}
		r, err := c.askProxy(ctx, a.ID)
		if err != nil {
			return "", fmt.Errorf("asking %s on %s: %w", c.Proxy.Title, a.NodeName, err)
		}
		for _, s := range serials {
			if !strings.Contains("\n"+r, "\n"+s+" ") {
				return c.Proxy.Title + " on " + a.NodeName, nil
			}
		}
	}
	return "", nil
}

func (c *Cluster) askProxy(ctx context.Context, alloc string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	r, err := c.Nomad.Exec(ctx, alloc, c.DevicesConfig.ProxyTask, c.DevicesConfig.Refused...)
	if err == nil && r.Exit != 0 {
		err = fmt.Errorf("exit code %d: %s", r.Exit, gates.OneLine(r.Stderr))
	}
	return r.Stdout, err
}
