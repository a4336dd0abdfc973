package preflight

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"

	"github.com/emqx-oci/emqx-oci/components/fault"
	"github.com/emqx-oci/emqx-oci/components/recorder"
	"github.com/emqx-oci/emqx-oci/components/settings"
)

// Types of the resources that checks look for by name.
const (
	jobType           = "nomad:index/job:Job"
	poolType          = "oci:Core/instancePool:InstancePool"
	configurationType = "oci:Core/instanceConfiguration:InstanceConfiguration"
	volumeType        = "oci:Core/volume:Volume"
	memberType        = "consul:index/service:Service"
	groupType         = "oci:Core/networkSecurityGroup:NetworkSecurityGroup"
	balancerType      = "oci:NetworkLoadBalancer/networkLoadBalancer:NetworkLoadBalancer"
	securityRuleType  = "oci:Core/networkSecurityGroupSecurityRule:NetworkSecurityGroupSecurityRule"
	backendSetType    = "oci:NetworkLoadBalancer/networkLoadBalancersBackendSetsUnified:NetworkLoadBalancersBackendSetsUnified"
	listenerType      = "oci:NetworkLoadBalancer/listener:Listener"
)

// input is what the checks of the graph see.
type input struct {
	settings  settings.Settings
	resources []recorder.Resource
	// emqx and haproxy are the jobs; nil when their text cannot be read, which
	// jobFaults tell.
	emqx, haproxy *job
	// proxy is HAProxy's configuration; nil as above.
	proxy     *proxyConfig
	jobFaults []jobFault
	// boots are the nodes' boot scripts, in the order of their pools.
	boots []bootScript
}

type jobFault struct{ path, message string }

func read(s settings.Settings, resources []recorder.Resource) *input {
	in := &input{settings: s, resources: slices.Clone(resources)}
	// The order of a recording is that of its goroutines.
	slices.SortStableFunc(in.resources, func(a, b recorder.Resource) int { return strings.Compare(a.Name, b.Name) })
	for _, r := range in.kind(jobType) {
		j, err := readJob(text(property(r, "jobspec")), r)
		if err != nil {
			in.jobFaults = append(in.jobFaults, jobFault{path(r, "jobspec"), fmt.Sprintf("must be a job that can be read: %v", err)})
			continue
		}
		if strings.HasSuffix(j.id, "-haproxy") {
			in.haproxy = j
			continue
		}
		in.emqx = j
		for name, value := range s.Broker.SecretEnv {
			if !value.Hidden() {
				j.env[name] = value.Reveal()
			}
		}
		j.inside()
	}
	if in.haproxy != nil {
		proxy, err := readProxy(in.haproxy)
		if err != nil {
			in.jobFaults = append(in.jobFaults, jobFault{
				path(in.haproxy.resource, "hcl2.vars.config"), fmt.Sprintf("must be a configuration that can be read: %v", err),
			})
		} else {
			in.proxy = proxy
		}
	}
	for _, r := range in.kind(configurationType) {
		in.boots = append(in.boots, readBoot(r))
	}
	return in
}

// kind are the resources of a type, by name.
func (in *input) kind(token string) []recorder.Resource {
	var found []recorder.Resource
	for _, r := range in.resources {
		if r.Type == token {
			found = append(found, r)
		}
	}
	return found
}

// path names a property of a resource for a person.
func path(r recorder.Resource, property string) string {
	kind := r.Type[strings.LastIndex(r.Type, ":")+1:]
	return strings.TrimSuffix(fmt.Sprintf("%s %s.%s", kind, r.Name, property), ".")
}

// property is one by its dotted path; null when it is not there.
func property(r recorder.Resource, dotted string) resource.PropertyValue {
	v := resource.NewProperty(r.Inputs)
	for _, key := range strings.Split(dotted, ".") {
		v = open(v)
		if !v.IsObject() {
			return resource.NewNullProperty()
		}
		v = v.ObjectValue()[resource.PropertyKey(key)]
	}
	return open(v)
}

// backends are those in a set, by their place.
func backends(set recorder.Resource) []resource.PropertyMap {
	all := property(set, "backends")
	if !all.IsArray() {
		return nil
	}
	found := make([]resource.PropertyMap, len(all.ArrayValue()))
	for i, b := range all.ArrayValue() {
		if b = open(b); b.IsObject() {
			found[i] = b.ObjectValue()
		}
	}
	return found
}

// open takes the wrapping of a secret or a known output off a value.
func open(v resource.PropertyValue) resource.PropertyValue {
	switch {
	case v.IsSecret():
		return open(v.SecretValue().Element)
	case v.IsOutput() && v.OutputValue().Known:
		return open(v.OutputValue().Element)
	}
	return v
}

// unknown values are the cloud's to give.
func unknown(v resource.PropertyValue) bool { return v.IsComputed() || v.IsOutput() }

func text(v resource.PropertyValue) string {
	if v.IsString() {
		return v.StringValue()
	}
	return ""
}

func number(v resource.PropertyValue) int {
	if v.IsNumber() {
		return int(v.NumberValue())
	}
	return 0
}

// recording turns a program that refuses its own arguments into findings. A fault of a
// setting that a check has named is left out: one cause is one error.
func (r *report) recording(err error, found []Finding) {
	var faults *fault.Error
	if !errors.As(err, &faults) {
		r.errorf("(graph)", "must be a graph that can be built: %v", err)
		return
	}
	doing, _, nested := strings.Cut(err.Error(), faults.Error())
	for _, f := range faults.Faults {
		if slices.ContainsFunc(found, func(x Finding) bool { return x.Severity == Error && x.Path == setting(f.Path) }) {
			continue
		}
		if nested && !strings.HasPrefix(f.Path, settings.Project+":") {
			r.errorf("(graph)", "%s%s", doing, f)
			continue
		}
		r.errorf(f.Path, "%s", f.Text)
	}
}

// bootScript is what a node's first start is told.
type bootScript struct {
	config recorder.Resource
	vars   map[string]string
	// text is the whole script; empty when it is not known yet.
	text string
}

func readBoot(r recorder.Resource) bootScript {
	b := bootScript{config: r, vars: map[string]string{}}
	encoded := text(property(r, "instanceDetails.launchDetails.metadata.user_data"))
	body, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return b
	}
	// As cloud-init does.
	if z, err := gzip.NewReader(bytes.NewReader(body)); err == nil {
		if body, err = io.ReadAll(z); err != nil {
			return b
		}
	}
	b.text = string(body)
	for line := range strings.Lines(b.text) {
		assignment, ok := strings.CutPrefix(strings.TrimSpace(line), "readonly ")
		if !ok {
			continue
		}
		name, value, ok := strings.Cut(assignment, "=")
		if ok && strings.HasPrefix(value, "'") {
			b.vars[name] = strings.ReplaceAll(strings.Trim(value, "'"), `'\''`, "'")
		}
	}
	return b
}

// texts are a list of texts.
func texts(v resource.PropertyValue) []string {
	var found []string
	if v.IsArray() {
		for _, element := range v.ArrayValue() {
			found = append(found, text(open(element)))
		}
	}
	return found
}
