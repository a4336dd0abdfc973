package preflight

import (
	"regexp"
	"strings"
)

var (
	// envName is what a shell and Docker take.
	envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	// portLabel: nomad/structs, validPortLabel.
	portLabel = regexp.MustCompile(`^[a-zA-Z0-9_]+$`)
)

// nomadJob are rules of Nomad's server (nomad/structs, Validate of Job,
// TaskGroup, Task, Resources, Service), for a look at a stack file without one.
func nomadJob(in *input, r *report) {
	for _, f := range in.jobFaults {
		r.errorf(f.path, "%s", f.message)
	}
	for _, j := range []*job{in.emqx, in.haproxy} {
		if j == nil {
			continue
		}
		if strings.ContainsAny(j.id, " \x00") {
			r.errorf(j.path("id"), "must hold no space, got %q", j.id)
		}
		if len(j.job.list("datacenters")) == 0 && j.job.has("datacenters") {
			r.errorf(j.path("datacenters"), "must hold at least one")
		}
		if count := j.group.number("count"); count < 1 {
			r.errorf(j.path("group.count"), "must be at least 1, got %d", count)
		}
		if strings.ContainsAny(j.task.label(), `/\`) {
			r.errorf(j.path("task"), "must have a name without slashes, got %q", j.task.label())
		}
		resources := j.task.one("resources")
		if memory := resources.number("memory"); memory < 10 {
			r.errorf(j.path("task.resources.memory"), "must be at least 10 MB, got %d", memory)
		} else if most := resources.number("memory_max"); resources.has("memory_max") && most < memory {
			r.errorf(j.path("task.resources.memory_max"), "must be at least memory (%d MB), got %d", memory, most)
		}
		if cpu := resources.number("cpu"); cpu < 1 && !resources.has("cores") {
			r.errorf(j.path("task.resources.cpu"), "must be at least 1 MHz, got %d", cpu)
		}
		for name := range j.env {
			if !envName.MatchString(name) {
				r.errorf(j.path("env."+name), "must be letters, digits and underscores")
			}
		}
		j.checkPorts(r)
		j.checkServices(r)
	}
	in.samePorts(r)
}

func (j *job) checkPorts(r *report) {
	labels, fixed := map[string]bool{}, map[int]string{}
	for _, network := range j.group.all("network") {
		for _, p := range network.all("port") {
			at := j.path("network.port." + p.label())
			if !portLabel.MatchString(p.label()) {
				r.errorf(at, "must have a label of letters, digits and underscores, got %q", p.label())
			}
			if labels[p.label()] {
				r.errorf(at, "must not be there twice")
			}
			labels[p.label()] = true
			if !p.has("static") {
				continue
			}
			n := p.number("static")
			if n < 1 || n > 65535 {
				r.errorf(at, "must be 1 to 65535, got %d", n)
			}
			if other, twice := fixed[n]; twice {
				r.errorf(at, "must be a port of its own, got %d, which is %s", n, other)
			}
			fixed[n] = p.label()
		}
	}
}

func (j *job) checkServices(r *report) {
	ports := j.ports()
	for _, s := range j.services() {
		name, at := s.text("name"), j.path("service."+s.text("name"))
		if !dnsLabel.MatchString(name) {
			r.errorf(at, "must have a name that is a DNS label: at most 63 letters, digits and dashes, got %q", name)
		}
		for _, tag := range s.list("tags") {
			if !dnsTag.MatchString(tag) {
				r.errorf(at, "must have tags that are DNS labels, got %q", tag)
			}
		}
		labels := []string{s.text("port")}
		for _, check := range s.all("check") {
			if check.has("port") {
				labels = append(labels, check.text("port"))
			}
			if check.text("type") == "http" && !strings.HasPrefix(check.text("path"), "/") {
				r.errorf(at, "must have checks with a path that begins with /, got %q", check.text("path"))
			}
		}
		for _, label := range labels {
			if _, ok := ports[label]; !ok {
				r.errorf(at, "must have ports of the job's network, got %q", label)
			}
		}
	}
}

// samePorts: both jobs run on every node, and Nomad places only one of two that
// ask for a port ("reserved port collision").
func (in *input) samePorts(r *report) {
	if in.emqx == nil || in.haproxy == nil {
		return
	}
	broker := in.emqx.ports()
	for _, network := range in.haproxy.group.all("network") {
		for _, p := range network.all("port") {
			for label, port := range broker {
				if port != 0 && port == p.number("static") {
					r.errorf(in.haproxy.path("network.port."+p.label()), "must be free on a node, got %d, which is port %s of the EMQX job", port, label)
				}
			}
		}
	}
}
