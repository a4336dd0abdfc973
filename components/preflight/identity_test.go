package preflight

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/emqx-oci/emqx-oci/components/cluster"
)

const (
	consulSuffix       = ".service.consul"
	nodeNamePlacehoder = "${node.unique.name}"
)

var trailingDigits = regexp.MustCompile(`[0-9]$`)

// nodeName: EMQX finds its peers by SRV records whose targets must be the very
// hosts of the node names (EMQX 5.8, emqx_conf_schema, node.name and cluster.dns).
func nodeName(in *program, r *Report) {
	env := in.emqx.env
	at := func(name string) string { return in.emqx.path("env." + name) }
	plain := func(name string) string { return strings.Trim(env[name], `"`) }
	if _, old := env["EMQX_NODE_NAME"]; old {
		r.Errorf(at("EMQX_NODE_NAME"), "must not be set: the image takes it over EMQX_NODE__NAME")
	}
	name := plain("EMQX_NODE__NAME")
	short, host, ok := strings.Cut(name, "@")
	switch {
	case !ok || short == "" || host == "":
		r.Errorf(at("EMQX_NODE__NAME"), "must be emqx@<node>.node.<datacenter>.consul, got %q", name)
		return
	case trailingDigits.MatchString(short):
		r.Errorf(at("EMQX_NODE__NAME"), "must have no digit before the @: it would move port 4370, got %q", name)
	case !strings.Contains(host, nodeNamePlacehoder):
		r.Errorf(at("EMQX_NODE__NAME"), "must hold the node's own name, %s: all nodes would have one name, got %q", nodeNamePlacehoder, name)
		return
	}
	if strategy := plain("EMQX_CLUSTER__DISCOVERY_STRATEGY"); strategy != "dns" {
		r.Errorf(at("EMQX_CLUSTER__DISCOVERY_STRATEGY"), "must be dns, which is what the member list answers, got %q", strategy)
	}
	_, err := netip.ParseAddr(host)
	if kind := plain("EMQX_CLUSTER__DNS__RECORD_TYPE"); kind != "srv" {
		r.Errorf(at("EMQX_CLUSTER__DNS__RECORD_TYPE"), "must be srv: with %q a node's host must be an address, and it is %q", kind, host)
	} else if err == nil {
		r.Errorf(at("EMQX_NODE__NAME"), "must have a host name: with record type srv no target is an address, got %q", name)
	}
	in.members(host, plain("EMQX_CLUSTER__DNS__NAME"), r)
	in.nodes(host, r)
}

// members compares the names of the nodes with what the discovery's name
// answers.
func (in *program) members(host, lookup string, r *Report) {
	at := in.emqx.path("env.EMQX_CLUSTER__DNS__NAME")
	service, tag, ok := lookedUp(lookup)
	if !ok {
		r.Errorf(at, "must be <tag>.<service>%s, got %q", cluster.ServiceDomain, lookup)
		return
	}
	var targets []string
	for _, m := range in.Kind(memberType) {
		if TextAt(m, "name") == service && (tag == "" || slices.Contains(texts(Property(m, "tags")), tag)) {
			targets = append(targets, TextAt(m, "address"))
		}
	}
	if len(targets) == 0 {
		r.Errorf(at, "must name a service with its tag in Consul's catalog, got %q: no entry has service %q and tag %q", lookup, service, tag)
		return
	}
	var want []string
	for _, pool := range in.Kind(poolType) {
		want = append(want, strings.ReplaceAll(host, nodeNamePlacehoder, TextAt(pool, "displayName")))
	}
	for _, w := range want {
		if !slices.Contains(targets, w) {
			r.Errorf(at, "must list every node, got no entry with the address %q: EMQX never finds the node of this name", w)
		}
	}
	if len(targets) > len(want) {
		for _, target := range targets {
			if !slices.Contains(want, target) {
				r.Errorf(at, "must list the nodes and no other, got %q", target)
			}
		}
	}
}

// nodes: the boot script names the node that Nomad puts into the name.
func (in *program) nodes(host string, r *Report) {
	for _, b := range in.boots {
		if b.text == "" {
			continue
		}
		node := cluster.Name(b.vars["EMQX_ENV"]) + "-" + b.vars["EMQX_INDEX"]
		at := Path(b.config, "instanceDetails.launchDetails.metadata.user_data")
		if display := TextAt(b.config, "displayName"); display != node {
			r.Errorf(Path(b.config, "displayName"), "must be %q, as the boot script calls the node, got %q", node, display)
		}
		if dc := b.vars["DATACENTER"]; !strings.HasSuffix(host, cluster.Host("", dc)) {
			r.Errorf(at, "must join the datacenter of the node names (%s), got %q", host, dc)
		}
	}
}

// serviceTags: Consul answers a lookup with a tag only for services that carry it; without an
// answer HAProxy has no broker. Whatever it answers, clients are led to a member's own address.
func serviceTags(in *program, r *Report) {
	at := Path(in.haproxy.resource, "hcl2.vars.config")
	found := 0
	for _, s := range in.proxy.sections {
		for _, line := range s.lines {
			if s.kind != "backend" || !strings.HasPrefix(line[0], "server") {
				continue
			}
			found++
			address := line[2]
			if option(line, "check") == "" && option(line, "track") != "" {
				if host, _, _ := strings.Cut(address, ":"); host != memberAddress {
					r.Errorf(at+": backend "+s.name, "must lead to the members' own addresses, got %q", address)
				}
				continue
			}
			name, _, _ := strings.Cut(address, ":")
			if name == memberAddress { // while Consul names nobody
				continue
			}
			service, tag, ok := lookedUp(name)
			tagged := func(svc block) bool {
				return svc.text("name") == service && slices.Contains(svc.list("tags"), strings.Replace(tag, "--0", "--${NOMAD_ALLOC_INDEX}", 1))
			}
			switch {
			case option(line, "addr") != memberAddress:
				r.Errorf(at+": backend "+s.name, "must check the members' own addresses, got %q", option(line, "addr"))
			case !ok || !slices.ContainsFunc(in.emqx.services(), tagged):
				r.Errorf(in.emqx.path("service."+service), "must carry the tag %q that HAProxy asks for", tag)
			}
		}
	}
	if found == 0 {
		r.Errorf(at, "must have a backend with servers")
	}
}

// option is the word behind another in a line.
func option(line []string, name string) string {
	if i := slices.Index(line, name); i >= 0 && i+1 < len(line) {
		return line[i+1]
	}
	return ""
}

// lookedUp takes a name of Consul's DNS apart: "<tag>.<service>.service.consul",
// or RFC 2782's "_<service>._<tag>.service.consul".
func lookedUp(name string) (service, tag string, ok bool) {
	rest, ok := strings.CutSuffix(name, cluster.ServiceDomain)
	if !ok || rest == "" {
		return "", "", false
	}
	first, second, two := strings.Cut(rest, ".")
	switch {
	case !two:
		return first, "", true
	case strings.HasPrefix(first, "_") && strings.HasPrefix(second, "_"):
		return first[1:], second[1:], true
	default:
		return second, first, true
	}
}
