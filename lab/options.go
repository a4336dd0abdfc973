package lab

import (
	"net/netip"
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
	Bin   string // folder with emqx-oci, lab-guest and emqx

	// Optional.
	BrokerImages []string     // images of EMQX that instances shall have, such as "emqx/emqx:5.8.9"
	ProxyImages  []string     // the same of HAProxy, such as "haproxy:3.0.12"
	Latency      float64      // fraction of the real cloud's latencies; 0 is none
	Log          func(string) // progress, a line at a time
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
