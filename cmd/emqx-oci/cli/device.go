package cli

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/emqx-oci/emqx-oci/components/certs"
	"github.com/emqx-oci/emqx-oci/infra/operate"
)

// Devices are who connects beside the stack's own users. operate.Cluster has them.
type Devices interface {
	Devices(context.Context) ([]operate.Device, error)
	Add(context.Context, operate.AddDevice) (operate.Device, error)
	Revoke(ctx context.Context, name string) (operate.Revoked, error)
}

func (a *app) device() *cobra.Command {
	c := &cobra.Command{
		Use:   "device",
		Short: "Add, list and revoke devices one by one, without an update",
		Long: `A device is a client that is not in the stack file: fleets get new ones every day. Its name is its user name
in MQTT, and auth.rules with ${username} say what it may do. It shows a password, or a certificate of the
stack's own authority (tls.deviceCa). EMQX keeps devices in its own database, on all members and in each
backup; an update leaves them alone.`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage(fmt.Errorf("unknown command %q: see \"%s --help\"", args[0], c.CommandPath()))
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(a.deviceAdd(), a.deviceList(), a.deviceRevoke(), a.deviceInit())
	return c
}

// oneDevice wants a name, and allows a stack behind it.
func oneDevice(c *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return usage(fmt.Errorf("name the device: see \"%s --help\"", c.CommandPath()))
	case len(args) > 2:
		return usage(fmt.Errorf("one device and one stack at a time, got %s: see \"%s --help\"", strings.Join(args, " "), c.CommandPath()))
	}
	return nil
}

func (a *app) deviceAdd() *cobra.Command {
	o := operate.AddDevice{}
	var csr, out string
	days := 365
	c := &cobra.Command{
		Use:   "add NAME [stack]",
		Short: "Let a device in, and give what it needs for that",
		Long: `add lets a device in at once. What it needs, a password or a private key with its certificate, is made here
and given once: to stdout, or to files in --out that are readable for you alone. The stack keeps neither
password nor key. With --csr the device has made its key itself, and the key never leaves it.`,
		Example: "  emqx-oci device add meter-7 prod --out meters\n  emqx-oci device add meter-8 prod --certificate --out meters\n  emqx-oci device add meter-9 prod --csr meter-9.csr",
		Args:    oneDevice,
		RunE: func(c *cobra.Command, args []string) error {
			if days < 1 || days > 36500 {
				return usage(errors.New("--days: must be 1 to 36500"))
			}
			o.Name, o.Lasts = args[0], time.Duration(days)*24*time.Hour
			if csr != "" {
				var err error
				if o.Request, err = a.readRequest(csr); err != nil {
					return usage(fmt.Errorf("--csr: %s: %w", csr, err))
				}
				o.Certificate = true
			}
			if c.Flags().Changed("days") && !o.Certificate {
				return usage(errors.New("--days: is for certificates: a password has no end"))
			}
			return a.addDevice(c.Context(), a.stackOf(args[1:]), o, out)
		},
	}
	c.Flags().BoolVar(&o.Certificate, "certificate", false, "it shows a certificate of the stack's authority, and no password")
	c.Flags().StringVar(&csr, "csr", "", "sign this certificate request of a device that has its own key; - is stdin")
	c.Flags().IntVar(&days, "days", days, "how long its certificate is good; the authority's end bounds it")
	c.Flags().StringVarP(&out, "out", "o", "", "folder for the files NAME.password, or NAME.crt and NAME.key (default: stdout)")
	return c
}

func (a *app) readRequest(file string) (*x509.CertificateRequest, error) {
	read := func() ([]byte, error) { return os.ReadFile(file) } //nolint:gosec // the file that its user names
	if file == "-" {
		read = func() ([]byte, error) { return io.ReadAll(io.LimitReader(a.Stdin, 1<<20)) }
	}
	text, err := read()
	if err != nil {
		return nil, err
	}
	return certs.ReadRequest(string(text))
}

// deviceAdded is the result as --json prints it: what the device needs, or the files that hold it.
type deviceAdded struct {
	Stack       string         `json:"stack"`
	Device      operate.Device `json:"device"`
	Files       []string       `json:"files,omitempty"`
	Password    string         `json:"password,omitempty"`
	Certificate string         `json:"certificate,omitempty"`
	Key         string         `json:"key,omitempty"`
}

// privateFile is one that is written once.
type privateFile struct{ name, text string }

func credentialFiles(name string, c operate.Credential) []privateFile {
	if c.Password != "" {
		return []privateFile{{name + ".password", c.Password + "\n"}}
	}
	files := []privateFile{{name + ".crt", c.Certificate}}
	if c.Key != "" {
		files = append(files, privateFile{name + ".key", c.Key})
	}
	return files
}

// writePrivate writes files for the caller alone, all or none, over none that is there.
func writePrivate(dir string, files []privateFile) (paths []string, err error) {
	defer func() {
		if err != nil {
			removeAll(paths)
		}
	}()
	for _, x := range files {
		path := filepath.Join(dir, x.name)
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // in the folder that its user names
		if errors.Is(err, os.ErrExist) {
			return paths, usage(fmt.Errorf("--out: %s exists, and is not replaced", path))
		}
		if err != nil {
			return paths, fmt.Errorf("writing %s: %w", path, err)
		}
		paths = append(paths, path)
		_, err = f.WriteString(x.text)
		if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
			return paths, fmt.Errorf("writing %s: %w", path, err)
		}
	}
	return paths, nil
}

func removeAll(paths []string) {
	for _, p := range paths {
		_ = os.Remove(p)
	}
}

func (a *app) addDevice(ctx context.Context, stack string, o operate.AddDevice, out string) error {
	cluster, err := a.running(ctx, stack)
	if err != nil {
		return err
	}
	a.announceSignals(func(string) {}) // it ends within seconds
	result := deviceAdded{Stack: stack}
	var made operate.Credential
	o.Report = a.progressLine
	o.Keep = func(c operate.Credential) (err error) {
		if made = c; out != "" {
			result.Files, err = writePrivate(out, credentialFiles(o.Name, c))
		}
		return err
	}
	d, err := cluster.Add(ctx, o)
	if err := orInterrupted(ctx, "adding the device", err); err != nil {
		removeAll(result.Files)
		return err
	}
	if result.Device = d; out == "" {
		result.Password, result.Certificate, result.Key = made.Password, made.Certificate, made.Key
	}
	if a.asJSON {
		return a.encode(result)
	}
	until := ""
	if d.Ends != nil {
		until = ", good until " + d.Ends.Format(time.DateOnly)
	}
	_, _ = fmt.Fprintf(a.Stderr, "device %s may connect to stack %s, by its %s%s: this is given once, and kept nowhere else\n", d.Name, stack, d.Kind, until)
	if out != "" {
		_, _ = fmt.Fprintln(a.Stdout, strings.Join(result.Files, "\n"))
		return nil
	}
	for _, f := range credentialFiles(o.Name, made) {
		_, _ = fmt.Fprint(a.Stdout, f.text)
	}
	return nil
}

func (a *app) deviceList() *cobra.Command {
	return &cobra.Command{
		Use:   "list [stack]",
		Short: "List the devices: their kind, since when, until when, and whether they are connected",
		Long: `list asks EMQX which devices there are, how many connections each has, and which were revoked: that is
remembered for 30 days, and of a certificate until it ends. A device that is "leaving" cannot connect any
more, and its revocation has not come to its end: run that again.`,
		Args: oneStack,
		RunE: func(c *cobra.Command, args []string) error {
			stack := a.stackOf(args)
			cluster, err := a.running(c.Context(), stack)
			if err != nil {
				return err
			}
			a.announceSignals(func(string) {}) // nothing is under way that a signal would have to wait for
			devices, err := cluster.Devices(c.Context())
			if err := orInterrupted(c.Context(), "listing devices", err); err != nil {
				return err
			}
			if a.asJSON {
				return a.encode(struct {
					Stack   string           `json:"stack"`
					Devices []operate.Device `json:"devices"`
				}{stack, devices})
			}
			writeDevices(a.Stdout, stack, devices)
			return nil
		},
	}
}

func writeDevices(w io.Writer, stack string, devices []operate.Device) {
	if len(devices) == 0 {
		_, _ = fmt.Fprintf(w, "stack %s has no devices\n", stack)
		return
	}
	head := []string{"NAME", "KIND", "ADDED", "ENDS", "STATE", "CONNECTED"}
	rows := make([][]cell, len(devices))
	for i, d := range devices {
		ends, state, connected := "", d.State, "no"
		if d.Ends != nil {
			ends = d.Ends.Format(time.DateOnly)
		}
		if d.Revoked != nil {
			state += " " + d.Revoked.Format("2006-01-02 15:04")
		}
		switch {
		case d.Connections == 1:
			connected = "yes"
		case d.Connections > 1:
			connected = fmt.Sprintf("yes, %d times", d.Connections)
		case d.State == operate.DeviceRevoked:
			connected = ""
		}
		for _, text := range []string{d.Name, d.Kind, d.Added.Format("2006-01-02 15:04"), ends, state, connected} {
			rows[i] = append(rows[i], cell{text, plainTone})
		}
	}
	writeTable(w, head, rows, columns(head, rows), func(c cell) string { return c.text })
}

func (a *app) deviceRevoke() *cobra.Command {
	return &cobra.Command{
		Use:   "revoke NAME [stack]",
		Short: "Shut a device out and cut it off, at once and on all members",
		Long: `revoke first shuts the device out, then ends its connections and sessions, and then removes it: where it
is interrupted the device cannot come back, and running it again brings it to its end. Nobody else is
disconnected. Its certificate stays refused until that ends, also when a device of the same name is added
again.`,
		Args: oneDevice,
		RunE: func(c *cobra.Command, args []string) error {
			stack := a.stackOf(args[1:])
			cluster, err := a.running(c.Context(), stack)
			if err != nil {
				return err
			}
			a.announceSignals(func(string) { _, _ = fmt.Fprintln(a.Stderr, "stopping: run it again, so that it comes to its end") })
			r, err := cluster.Revoke(c.Context(), args[0])
			if err := orInterrupted(c.Context(), "revoking the device", err); err != nil {
				return err
			}
			if a.asJSON {
				return a.encode(struct {
					Stack string `json:"stack"`
					operate.Revoked
				}{stack, r})
			}
			if len(r.Kinds) == 0 && r.Cut == 0 {
				_, _ = fmt.Fprintf(a.Stdout, "device %s was revoked on %s: nothing was left to do\n", r.Device, r.At.Format(time.DateTime))
				return nil
			}
			_, _ = fmt.Fprintf(a.Stdout, "device %s is revoked: %s\n", r.Device, count(r.Cut, "session")+" cut off")
			return nil
		},
	}
}

func (a *app) deviceInit() *cobra.Command {
	var out string
	years := 20
	c := &cobra.Command{
		Use:   "init [stack]",
		Short: "Make the authority that signs the certificates of devices",
		Long: `init makes an authority for a stack and writes device-ca.crt, device-ca.key and device-ca.crl, readable for
you alone. Nothing is changed: it says how the stack gets it. The key belongs into the stack's encrypted
configuration, and nowhere else.`,
		Args: oneStack,
		RunE: func(_ *cobra.Command, args []string) error {
			if years < 1 || years > 100 {
				return usage(errors.New("--years: must be 1 to 100"))
			}
			return a.makeAuthority(a.stackOf(args), out, years)
		},
	}
	c.Flags().StringVarP(&out, "out", "o", ".", "folder for the files")
	c.Flags().IntVar(&years, "years", years, "how long the authority is good: no certificate of a device is for longer")
	return c
}

func (a *app) makeAuthority(stack, out string, years int) error {
	now := time.Now()
	authority, list, err := certs.NewDeviceAuthority("devices of "+stack, now.AddDate(years, 0, 0).Sub(now), now)
	if err != nil {
		return fmt.Errorf("making an authority: %w", err)
	}
	key, err := certs.KeyPEM(authority.Key)
	if err != nil {
		return fmt.Errorf("making an authority: %w", err)
	}
	files, err := writePrivate(out, []privateFile{
		{"device-ca.crt", certs.PEM(authority.Certificate)}, {"device-ca.key", key}, {"device-ca.crl", certs.ListPEM(list)},
	})
	if err != nil {
		return err
	}
	if a.asJSON {
		return a.encode(struct {
			Stack string    `json:"stack"`
			Files []string  `json:"files"`
			Ends  time.Time `json:"ends"`
		}{stack, files, authority.Certificate.NotAfter})
	}
	_, _ = fmt.Fprintf(a.Stdout, `The authority of stack %s's devices is made, good until %s. Give it to the stack:

    pulumi config set -s %[1]s --path 'emqx-oci:tls.deviceCa' < %[3]s
    pulumi config set -s %[1]s --path 'emqx-oci:tls.clients' optional
    pulumi config set -s %[1]s --secret --path 'emqx-oci:secrets.deviceCaKey' < %[4]s
    rm %[4]s
    emqx-oci up %[1]s

Where tls.clientCrl is set, %[5]s belongs behind what it holds.
`, stack, authority.Certificate.NotAfter.Format(time.DateOnly), files[0], files[1], files[2])
	return nil
}
