package preflight

import (
	"errors"
	"maps"
	"time"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/emqx-oci/emqx-oci/components/recorder"
)

// job is a Nomad job as its server would see it. Both jobs have one group with
// one task.
type job struct {
	resource    recorder.Resource
	id          string
	job         block
	group, task block
	// env is what the task starts with; what only a node knows is a "${...}".
	env map[string]string
}

func readJob(source string, r recorder.Resource) (*job, error) {
	vars := map[string]string{}
	if given := Property(r, "hcl2.vars"); given.IsObject() {
		for name, value := range given.ObjectValue() {
			vars[string(name)] = Text(Open(value))
		}
	}
	root, err := evaluate(source, vars)
	if err != nil {
		return nil, err
	}
	j := &job{resource: r, id: root.text("id"), job: root, group: root.one("group"), env: map[string]string{}}
	j.task = j.group.one("task")
	if j.task.label() == "" {
		return nil, errors.New("it has no task")
	}
	if j.id == "" {
		j.id = root.label()
	}
	if v, ok := j.task.attrs["env"]; ok && v.CanIterateElements() {
		for it := v.ElementIterator(); it.Next(); {
			key, value := it.Element()
			if s, err := convert.Convert(value, cty.String); err == nil && !s.IsNull() {
				j.env[key.AsString()] = s.AsString()
			}
		}
	}
	written := j.task.one("env")
	for name := range written.attrs {
		j.env[name] = written.text(name)
	}
	return j, nil
}

// path names a part of the job for a person: Job emqx: group.update.
func (j *job) path(part string) string { return Path(j.resource, "jobspec") + ": " + part }

// ports are the job's fixed ports by their label; 0 for one that Nomad chooses.
func (j *job) ports() map[string]int {
	found := map[string]int{}
	for _, network := range j.group.all("network") {
		for _, p := range network.all("port") {
			found[p.label()] = p.number("static")
		}
	}
	return found
}

// services are all of the group and its task.
func (j *job) services() []block {
	return append(j.group.all("service"), j.task.all("service")...)
}

// duration is an attribute of a block as a time; ok is false when it is there
// and no duration.
func duration(b block, name string) (d time.Duration, ok bool) {
	if !b.has(name) {
		return 0, true
	}
	d, err := time.ParseDuration(b.text(name))
	return d, err == nil
}

// withAddresses are the task's variables and those that Nomad adds for ports.
func (j *job) withAddresses() map[string]string {
	env := maps.Clone(j.env)
	for label := range j.ports() {
		env["NOMAD_ADDR_"+label] = "${NOMAD_ADDR_" + label + "}"
	}
	env["NOMAD_JOB_ID"], env["NOMAD_TASK_DIR"], env["NOMAD_SECRETS_DIR"] = j.id, "/local", "/secrets"
	return env
}
