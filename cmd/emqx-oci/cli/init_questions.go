package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/emqx-oci/emqx-oci/components/fault"
	"github.com/emqx-oci/emqx-oci/infra/orchestrate"
)

// namespace is the project's name, before every key of its configuration.
const namespace = "emqx-oci"

// question is one thing that init cannot know.
type question struct {
	// path of the setting: "oci.region". Its last part is the answer's key.
	path, flag string
	// text names what is asked for, hint what it looks like.
	text, hint string
	// list is set for answers of several, with commas.
	list bool
	// preset is the answer of those who give none.
	preset string
}

var questions = []question{
	{path: "oci.region", flag: "region", text: "Region of OCI", hint: "eu-frankfurt-1"},
	{path: "oci.compartment", flag: "compartment", text: "Compartment, its OCID", hint: "ocid1.compartment.oc1..aaaa"},
	{path: "network.vcn", flag: "vcn", text: "VCN, its OCID or name", hint: "ocid1.vcn.oc1.eu-frankfurt-1.amaa"},
	{path: "network.publicSubnet", flag: "public-subnet", text: "Public subnet, the load balancer's, OCID or name", hint: "ocid1.subnet.oc1.eu-frankfurt-1.aaaa"},
	{path: "network.privateSubnet", flag: "private-subnet", text: "Private subnet, the nodes', OCID or name", hint: "ocid1.subnet.oc1.eu-frankfurt-1.aaaa"},
	{path: "network.clientCidrs", flag: "client-cidrs", text: "Ranges that MQTT clients come from", hint: "203.0.113.0/24, or 0.0.0.0/0 for everybody", list: true},
	{path: "network.serverCidrs", flag: "server-cidrs", text: "Ranges of the Nomad and Consul servers", hint: "10.10.2.0/24", list: true},
	{path: "nodes.image", flag: "image", text: "Image of the nodes, Oracle Linux 9 or Ubuntu 24.04, its OCID", hint: "ocid1.image.oc1.eu-frankfurt-1.aaaa"},
	{path: "nodes.count", flag: "nodes", text: "Number of nodes", hint: "1 to 100", preset: "3"},
	{path: "dns.zone", flag: "dns-zone", text: "Zone in OCI DNS", hint: "example.com"},
	{path: "dns.name", flag: "dns-name", text: "Name of the cluster, inside the zone", hint: "mqtt.example.com"},
	{path: "nomad.address", flag: "nomad-address", text: "Nomad's API", hint: "https://nomad.example.com:4646"},
	{path: "nomad.servers", flag: "nomad-servers", text: "Nomad's servers, which the nodes join", hint: "10.10.2.10:4647,10.10.2.11:4647", list: true},
	{path: "consul.address", flag: "consul-address", text: "Consul's API", hint: "https://consul.example.com:8501"},
	{path: "consul.servers", flag: "consul-servers", text: "Consul's servers, which the nodes join", hint: "10.10.2.10,10.10.2.11", list: true},
}

// String names what is asked for, and what it looks like.
func (q question) String() string {
	if q.preset != "" {
		return fmt.Sprintf("%s, %s; default %s", q.text, q.hint, q.preset)
	}
	return q.text + ", such as " + q.hint
}

// prompt asks for it.
func (q question) prompt() string {
	if q.preset != "" {
		return fmt.Sprintf("%s, %s [%s]: ", q.text, q.hint, q.preset)
	}
	return q.String() + ": "
}

// answers are what was said, by the path of the setting.
type answers map[string]any

// parse turns what was typed into the setting's value. What is not of its kind goes on as text: the settings' own check
// says what is wrong with it.
func (q question) parse(text string) any {
	if q.list {
		items := []string{}
		for item := range strings.SplitSeq(text, ",") {
			if item = strings.TrimSpace(item); item != "" {
				items = append(items, item)
			}
		}
		return items
	}
	if q.preset != "" {
		if n, err := strconv.Atoi(text); err == nil {
			return n
		}
	}
	return text
}

// config is the configuration that the answers and secrets come to.
func (a answers) config(secrets map[string]string) orchestrate.Config {
	groups := map[string]map[string]any{}
	put := func(path string, value any) {
		group, key, _ := strings.Cut(path, ".")
		if groups[group] == nil {
			groups[group] = map[string]any{}
		}
		groups[group][key] = value
	}
	for path, value := range a {
		put(path, value)
	}
	for path, value := range secrets {
		put(strings.TrimPrefix(path, namespace+":"), value)
	}
	values := map[string]string{}
	for group, keys := range groups {
		text, _ := json.Marshal(keys) // strings, numbers and lists of strings: it cannot fail
		values[namespace+":"+group] = string(text)
	}
	return orchestrate.NewConfig(namespace, values, map[string]bool{namespace + ":secrets": true})
}

// faultsAt are what a check says about one setting, without its path.
func faultsAt(err error, path string) []string {
	var found []string
	for _, f := range faultsOf(err) {
		if rest, ok := strings.CutPrefix(f.Path, namespace+":"+path); ok && (rest == "" || rest[0] == '[') {
			found = append(found, f.Text)
		}
	}
	return found
}

// faultsOf are all that are in an error, which may be several.
func faultsOf(err error) []fault.Fault {
	var one *fault.Error
	var joined interface{ Unwrap() []error }
	switch {
	case errors.As(err, &joined):
		var all []fault.Fault
		for _, e := range joined.Unwrap() {
			all = append(all, faultsOf(e)...)
		}
		return all
	case errors.As(err, &one):
		return one.Faults
	}
	return nil
}
