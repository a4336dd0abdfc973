package lab

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
)

// Where the lab keeps its things unless told otherwise.
const (
	DefaultDir  = "/var/lib/emqx-oci-lab"
	DefaultName = "emqxlab"
	// CAFile is the certificate of the lab's authority, inside the lab's folder.
	CAFile = "ca.pem"
	// ServerName is what the lab's certificate is made for.
	ServerName = "mqtt.lab.test"
)

// DefaultDoor is the loopback address on which the lab's doors listen. It is not
// 127.0.0.1, so that what runs there keeps its ports.
var DefaultDoor = netip.AddrFrom4([4]byte{127, 0, 77, 1})

// Options say which lab.
type Options struct {
	// Defaulted.
	Dir  string     // folder of the lab; default DefaultDir
	Name string     // prefix of its namespaces, a letter and at most 9 letters or digits; default DefaultName
	Door netip.Addr // loopback address of its doors; default DefaultDoor

	// Required for Up.
	Tools string // folder with nomad and consul
	Bin   string // folder with emqx-oci-lab, lab-guest and emqx

	// Optional.
	BrokerImages []string     // images of EMQX that instances shall have, such as "emqx/emqx:5.8.9"
	ProxyImages  []string     // the same of HAProxy, such as "haproxy:3.2.25"
	Archives     []string     `json:"-"` // files of `docker save` that hold some of them: no registry is asked for those
	Plugins      string       `json:"-"` // OfficialPlugins: Env attaches none of the lab's providers
	Latency      float64      // fraction of the real cloud's latencies; 0 is none
	Secured      bool         // servers as production has them: TLS, ACLs that deny by default, keys of gossip
	Log          func(string) `json:"-"` // progress, a line at a time
}

// OfficialPlugins is the value of Options.Plugins with which Pulumi works on the lab by
// the official plugins, installed or downloaded.
const OfficialPlugins = "official"

// Images are names of images that a stack runs.
type Images struct {
	Broker []string `json:"broker"`
	Proxy  []string `json:"proxy"`
}

// ErrNotYours says that there may be a lab, and that this user may not talk to it.
var ErrNotYours = errors.New("the lab is for root alone: run this as root")

// optionsFile keeps what a lab was made with, for its daemon and for later commands.
const optionsFile = "options.json"

// known returns the options that the lab in o.Dir was made with, or o where there
// is none: a lab is found by its folder alone.
func (o Options) known() (Options, error) {
	o = o.withDefaults()
	text, err := os.ReadFile(filepath.Join(o.Dir, optionsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return o, nil
	}
	if errors.Is(err, fs.ErrPermission) {
		return o, ErrNotYours
	}
	if err != nil {
		return o, fmt.Errorf("reading what the lab was made with: %w", err)
	}
	saved := Options{Log: o.Log}
	if err := json.Unmarshal(text, &saved); err != nil {
		return o, fmt.Errorf("reading what the lab was made with: %s: %w", filepath.Join(o.Dir, optionsFile), err)
	}
	// The programs are those of this command: the ones of then may be gone.
	saved.Dir, saved.Tools, saved.Bin = o.Dir, o.Tools, o.Bin
	return saved.withDefaults(), nil
}

// again keeps name and door of the lab that stands in o.Dir already: its namespaces
// carry the one, its stack's settings the other.
func (o Options) again() (Options, error) {
	there, err := o.known()
	if err != nil {
		return o, err
	}
	o = o.withDefaults()
	o.Name, o.Door = there.Name, there.Door
	if _, err := os.Stat(filepath.Join(o.Dir, optionsFile)); err == nil {
		o.Secured = there.Secured // what the servers' data were made with
	}
	return o, nil
}

func (o Options) save() error {
	text, err := json.MarshalIndent(o, "", "  ")
	if err != nil {
		return fmt.Errorf("recording what the lab is made with: %w", err)
	}
	if err := writeFile(filepath.Join(o.Dir, optionsFile), text, 0o644); err != nil {
		return fmt.Errorf("recording what the lab is made with: %w", err)
	}
	return nil
}

func (o Options) withDefaults() Options {
	if o.Dir == "" {
		o.Dir = DefaultDir
	}
	if o.Name == "" {
		o.Name = DefaultName
	}
	if !o.Door.IsValid() {
		o.Door = DefaultDoor
	}
	if o.Log == nil {
		o.Log = func(string) {}
	}
	return o
}

// nomadDoor and consulDoor are the servers' APIs on this machine's loopback, in clear: a door takes both.
func (o Options) nomadDoor() string  { return fmt.Sprintf("http://%s:4646", o.Door) }
func (o Options) consulDoor() string { return fmt.Sprintf("http://%s:8500", o.Door) }
