package orchestrate

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/urn"

	"github.com/emqx-oci/emqx-oci/components/interrupted"
	"github.com/emqx-oci/emqx-oci/infra/orchestrate/progress"
)

// creating is the operation of which nobody knows how it ended when the run that was at it was killed; of "updating",
// "deleting", "reading" and "importing" the clouds tell.
const creating = "creating"

// deployment is the part of an exported state that is looked at here. Everything else is handed back as it came.
type deployment struct {
	raw       map[string]json.RawMessage
	pending   []operation
	resources []rawResource
}

// rawResource is a resource of which no more is read than asked for.
type rawResource map[string]json.RawMessage

// text reads a property; "" is one that is absent.
func (r rawResource) text(key string) string {
	var s string
	_ = json.Unmarshal(r[key], &s)
	return s
}

type operation struct {
	raw      map[string]json.RawMessage
	resource rawResource
	kind     string // [creating], say
	interrupted.Lost
}

func readDeployment(b []byte) (*deployment, error) {
	d := &deployment{}
	if err := json.Unmarshal(b, &d.raw); err != nil {
		return nil, err
	}
	if r, ok := d.raw["resources"]; ok {
		if err := json.Unmarshal(r, &d.resources); err != nil {
			return nil, err
		}
	}
	ops, ok := d.raw["pending_operations"]
	if !ok {
		return d, nil
	}
	var raws []map[string]json.RawMessage
	if err := json.Unmarshal(ops, &raws); err != nil {
		return nil, err
	}
	for _, raw := range raws {
		o := operation{raw: raw}
		var res struct {
			URN    string         `json:"urn"`
			Type   string         `json:"type"`
			Inputs map[string]any `json:"inputs"`
		}
		if err := json.Unmarshal(raw["type"], &o.kind); err != nil {
			return nil, err
		}
		if err := json.Unmarshal(raw["resource"], &res); err != nil {
			return nil, err
		}
		if err := json.Unmarshal(raw["resource"], &o.resource); err != nil {
			return nil, err
		}
		o.URN, o.Type, o.Inputs = res.URN, res.Type, res.Inputs
		o.Name = urn.URN(res.URN).Name()
		d.pending = append(d.pending, o)
	}
	return d, nil
}

// protected lists the resources that the stack's state protects.
func (d *deployment) protected() []Protected {
	var all []Protected
	for _, raw := range d.resources {
		var protect bool
		_ = json.Unmarshal(raw["protect"], &protect) // absent: false
		if protect {
			all = append(all, Protected{Type: raw.text("type"), Name: urn.URN(raw.text("urn")).Name(), ID: raw.text("id")})
		}
	}
	return all
}

// resolution is what has to happen before the engine may go on.
type resolution struct {
	// refresh asks the clouds what became of interrupted updates, deletions and adopted resources.
	refresh bool
	changed bool
	// protected are the resources that must not be deleted.
	protected []Protected
	// left is what is there after an operation that was interrupted.
	left []interrupted.Held
}

// resolve decides each interrupted operation. The engine itself would carry a pending create along for ever, and create
// the resource once more beside the one that may exist. An update or a deletion needs no decision: the resource is in
// the state, so reading it tells the truth.
func (d *deployment) resolve(ctx context.Context, adopt func(context.Context, interrupted.Lost) (string, error), note func(string)) (resolution, error) {
	var s resolution
	var kept []map[string]json.RawMessage
	for _, o := range d.pending {
		if o.kind != creating {
			s.refresh = true
			kept = append(kept, o.raw)
			continue
		}
		s.changed = true
		id := ""
		if adopt != nil {
			var err error
			if id, err = adopt(ctx, o.Lost); err != nil {
				return s, fmt.Errorf("looking for %s %s, which an interrupted run was creating: %w", o.Type, o.Name, err)
			}
		}
		if id == "" {
			note(fmt.Sprintf("an earlier run was interrupted while creating %s %s: creating it again", o.Type, o.Name))
			continue
		}
		note(fmt.Sprintf("an earlier run was interrupted while creating %s %s: it exists, continuing with it", o.Type, o.Name))
		s.refresh = true
		if err := d.adopt(o, id); err != nil {
			return s, fmt.Errorf("taking %s %s over: %w", o.Type, o.Name, err)
		}
	}
	if !s.changed {
		return s, nil
	}
	delete(d.raw, "pending_operations")
	if len(kept) > 0 {
		if err := put(d.raw, "pending_operations", kept); err != nil {
			return s, err
		}
	}
	return s, put(d.raw, "resources", d.resources)
}

// adopt puts the resource among those that exist, where the refresh then reads what it really is. (The engine's own way,
// an operation of type "importing", is dropped unread by the version tried.)
func (d *deployment) adopt(o operation, id string) error {
	for _, r := range d.resources {
		// It was to replace this one, which is still there and now has to go.
		if r.text("urn") == o.URN {
			r["delete"] = json.RawMessage("true")
		}
	}
	if err := put(o.resource, "id", id); err != nil {
		return err
	}
	if _, ok := o.resource["outputs"]; !ok {
		if inputs, ok := o.resource["inputs"]; ok {
			o.resource["outputs"] = inputs
		}
	}
	d.resources = append(d.resources, o.resource)
	return nil
}

func put[M ~map[string]json.RawMessage](m M, key string, v any) error {
	b, err := json.Marshal(v)
	m[key] = b
	return err
}

// resolvePending looks into the state for what an interrupted run left, and puts it in order. The state passes through
// with its secrets encrypted; the Automation API's own export would decrypt them.
func (r *Runner) resolvePending(ctx context.Context, name progress.Operation, s *session) (resolution, error) {
	text, err := r.export(ctx, s)
	if err != nil {
		return resolution{}, err
	}
	d, version, err := readState(text)
	if err != nil || d == nil {
		return resolution{}, err
	}
	var notes []string
	note := func(n string) { notes = append(notes, n) }
	refreshFirst := r.stage.refreshRequired() || r.stage.destroyBegun()
	// An update gives its providers the configuration's inputs by itself, unless it refreshes first.
	asks := name != progress.Up || refreshFirst || len(d.pending) > 0
	moved, err := r.renewProviders(ctx, s, d, asks, note)
	if err != nil {
		return resolution{}, fmt.Errorf("looking at the state's providers: %w", err)
	}
	write := func() error { return r.rewrite(ctx, s, d, text, version, notes) }
	if len(d.pending) == 0 {
		found := resolution{refresh: refreshFirst, protected: d.protected()}
		if moved && r.mayBeRunning() == nil {
			if err := write(); err != nil {
				return found, err
			}
		}
		if refreshFirst && r.mayBeRunning() == nil { // else it has not ended, and the lock will say so
			r.note("an earlier run did not end well: asking first what became of what it was at")
			found.left, err = r.awaitDeletions(ctx, s, d)
		}
		return found, err
	}
	// A run that is under way has operations under way, too: those are not ours to judge. Its lock stops the import
	// below; a state that moved meanwhile stops us here.
	if err := r.mayBeRunning(); err != nil {
		return resolution{}, err
	}
	left, err := r.awaitDeletions(ctx, s, d)
	if err != nil {
		return resolution{}, err
	}
	adopt, err := r.finder(ctx, s, d)
	if err != nil {
		return resolution{}, err
	}
	found, err := d.resolve(ctx, adopt, note)
	found.refresh, found.protected, found.left = found.refresh || refreshFirst, d.protected(), left
	if err != nil || !found.changed && !moved {
		return found, err
	}
	if found.refresh {
		r.stage.requireRefresh(true)
	}
	return found, write()
}

// readState reads an exported state; the deployment is nil for a stack that has none.
func readState(text string) (d *deployment, version int, err error) {
	var state struct {
		Version    int             `json:"version"`
		Deployment json.RawMessage `json:"deployment"`
	}
	if err := json.Unmarshal([]byte(text), &state); err != nil {
		return nil, 0, fmt.Errorf("reading the stack's state: %w", err)
	}
	if len(state.Deployment) == 0 || string(state.Deployment) == "null" {
		return nil, 0, nil
	}
	if d, err = readDeployment(state.Deployment); err != nil {
		return nil, 0, fmt.Errorf("reading the stack's state: %w", err)
	}
	return d, state.Version, nil
}

// renewProviders looks at the secrets among the providers' inputs, too, where asks says
// that the state's providers will be asked: the state is decrypted for that, in memory.
func (r *Runner) renewProviders(ctx context.Context, s *session, d *deployment, asks bool, note func(string)) (changed bool, err error) {
	if r.opts.Providers == nil {
		return false, nil
	}
	want, err := r.opts.Providers(s.config)
	if err != nil {
		return false, err
	}
	var decrypted *deployment
	if asks && want.secret() {
		text, err := r.export(ctx, s, "--show-secrets")
		if err != nil {
			return false, err
		}
		if decrypted, _, err = readState(text); err != nil {
			return false, err
		}
		if decrypted == nil || len(decrypted.resources) != len(d.resources) {
			return false, &LockedError{Stack: r.opts.Stack} // it moves meanwhile
		}
	}
	return d.renewProviders(want, decrypted, note)
}

// rewrite puts a deployment that was changed here into the place of the one that was
// read, unless that one has changed meanwhile, and tells why.
func (r *Runner) rewrite(ctx context.Context, s *session, d *deployment, read string, version int, notes []string) error {
	if now, err := r.export(ctx, s); err != nil {
		return err
	} else if now != read {
		return &LockedError{Stack: r.opts.Stack}
	}
	b, err := json.Marshal(map[string]any{"version": version, "deployment": d.raw})
	if err != nil {
		return fmt.Errorf("writing the stack's state: %w", err)
	}
	// By a pipe: a provider's new token is in clear in it.
	_, stderr, _, err := s.cli.Run(ctx, r.stage.dir, bytes.NewReader(b), nil, nil, r.environ(), "stack", "import", "--stack", r.opts.qualified())
	if err != nil {
		return askFailed("writing the stack's state", stderr, err)
	}
	for _, n := range notes {
		r.note(n)
	}
	return nil
}

func (r *Runner) export(ctx context.Context, s *session, flags ...string) (string, error) {
	args := append([]string{"stack", "export", "--stack", r.opts.qualified()}, flags...)
	text, stderr, _, err := s.cli.Run(ctx, r.stage.dir, nil, nil, nil, r.environ(), args...)
	if err != nil {
		return "", askFailed("reading the stack's state", stderr, err)
	}
	return text, nil
}

// mayBeRunning reports a recorded operation of this stage that is still alive, as the lock it must hold.
func (r *Runner) mayBeRunning() error {
	for pid, run := range r.stage.runs() {
		if run.alive() && run.Owner != os.Getpid() {
			host, _ := os.Hostname()
			return &LockedError{Stack: r.opts.Stack, Locks: []Lock{{Host: host, PID: pid, Since: run.Since, User: run.User}}}
		}
	}
	return nil
}

func askFailed(doing, stderr string, err error) error {
	if said := complaint(stderr); said != "" {
		return fmt.Errorf("%s: %s", doing, said)
	}
	return fmt.Errorf("%s: %w", doing, err)
}
