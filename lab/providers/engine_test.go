//go:build lab

package providers_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/blang/semver"
	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optdestroy"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optpreview"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optrefresh"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optup"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/internal/agenttest"
	"github.com/emqx-oci/emqx-oci/lab/cloud"
	"github.com/emqx-oci/emqx-oci/lab/providers"
)

// engine is one stack on the real engine, with the lab's providers attached.
type engine struct {
	t       *testing.T
	stack   auto.Stack
	program pulumi.RunFunc
	home    string
}

func newEngine(t *testing.T, c providers.Config) *engine {
	t.Helper()
	if c.OCI == nil {
		c.OCI = newMemory()
	}
	servers, err := providers.Serve(t.Context(), c)
	assert.NilError(t, err)
	t.Cleanup(func() { assert.Check(t, servers.Close()) })

	command, err := auto.NewPulumiCommand(&auto.PulumiCommandOptions{Root: agenttest.Root(), Version: semver.MustParse("3.276.0")})
	assert.NilError(t, err)
	home := t.TempDir()
	e := &engine{t: t, home: home}
	env := map[string]string{
		"PULUMI_DEBUG_PROVIDERS":                      servers.Env(),
		"PULUMI_CONFIG_PASSPHRASE":                    "lab",
		"PULUMI_BACKEND_URL":                          "file://" + home,
		"PULUMI_SKIP_UPDATE_CHECK":                    "true",
		"PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
	}
	e.stack, err = auto.UpsertStackInlineSource(context.Background(), "lab", "providers",
		func(ctx *pulumi.Context) error { return e.program(ctx) },
		auto.Pulumi(command), auto.EnvVars(env), auto.PulumiHome(home), auto.WorkDir(t.TempDir()))
	assert.NilError(t, err)
	return e
}

// up runs the program and returns how many resources had which change, without
// the stack and the providers.
func (e *engine) up(program pulumi.RunFunc) (map[string]int, auto.UpResult) {
	e.t.Helper()
	e.program = program
	var out strings.Builder
	res, err := e.stack.Up(e.t.Context(), optup.ProgressStreams(&out))
	assert.NilError(e.t, err, out.String())
	return counts(*res.Summary.ResourceChanges), res
}

func (e *engine) upFails(program pulumi.RunFunc) string {
	e.t.Helper()
	e.program = program
	var out strings.Builder
	_, err := e.stack.Up(e.t.Context(), optup.ProgressStreams(&out))
	assert.Assert(e.t, err != nil, "the update should have failed:\n%s", out.String())
	return out.String() + err.Error()
}

func (e *engine) previewFails(program pulumi.RunFunc) string {
	e.t.Helper()
	e.program = program
	var out, errs strings.Builder
	_, err := e.stack.Preview(e.t.Context(), optpreview.ProgressStreams(&out), optpreview.ErrorProgressStreams(&errs))
	assert.Assert(e.t, err != nil, "the preview should have failed:\n%s", out.String())
	return out.String() + errs.String() + err.Error()
}

func (e *engine) preview(program pulumi.RunFunc) map[string]int {
	e.t.Helper()
	e.program = program
	var out strings.Builder
	res, err := e.stack.Preview(e.t.Context(), optpreview.ProgressStreams(&out), optpreview.ErrorProgressStreams(&out))
	assert.NilError(e.t, err, out.String())
	changes := map[string]int{}
	for k, n := range res.ChangeSummary {
		changes[string(k)] = n
	}
	return counts(changes)
}

func (e *engine) refresh() map[string]int {
	e.t.Helper()
	var out strings.Builder
	res, err := e.stack.Refresh(e.t.Context(), optrefresh.ProgressStreams(&out))
	assert.NilError(e.t, err, out.String())
	return counts(*res.Summary.ResourceChanges)
}

func (e *engine) destroy() {
	e.t.Helper()
	var out strings.Builder
	_, err := e.stack.Destroy(e.t.Context(), optdestroy.ProgressStreams(&out))
	assert.NilError(e.t, err, out.String())
}

// state is the state as it lies on disk. (Export answers with secrets laid open.)
func (e *engine) state() string {
	e.t.Helper()
	text, err := os.ReadFile(filepath.Join(e.home, ".pulumi", "stacks", "providers", "lab.json"))
	assert.NilError(e.t, err)
	return string(text)
}

// counts drops what did not change, so that {} means nothing happened.
func counts(m map[string]int) map[string]int {
	out := maps.Clone(m)
	delete(out, "same")
	return out
}

// memory is a cloud in memory: it keeps what it is given and adds a few outputs.
type memory struct {
	mu      sync.Mutex
	n       int
	all     map[string]map[string]any
	created []string
	slow    time.Duration
	fail    map[string]error // by token: what a create answers
}

func newMemory() *memory {
	return &memory{all: map[string]map[string]any{}, fail: map[string]error{}}
}

func (m *memory) Create(ctx context.Context, token string, in map[string]any) (string, map[string]any, error) {
	m.mu.Lock()
	slow, err := m.slow, m.fail[token]
	m.mu.Unlock()
	if err != nil {
		return "", nil, err
	}
	select {
	case <-ctx.Done():
		return "", nil, ctx.Err()
	case <-time.After(slow):
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.n++
	id := fmt.Sprintf("ocid1.%s.oc1.lab-1.%d", strings.ToLower(token[strings.LastIndexByte(token, ':')+1:]), m.n)
	p := maps.Clone(in)
	p["state"], p["timeCreated"] = "AVAILABLE", "2026-01-01 00:00:00 +0000 UTC"
	if strings.HasSuffix(token, ":NetworkLoadBalancer") {
		p["ipAddresses"] = []any{map[string]any{"ipAddress": "198.51.100.1", "isPublic": true}}
	}
	m.all[id] = p
	m.created = append(m.created, id)
	return id, maps.Clone(p), nil
}

func (m *memory) Read(_ context.Context, _, id string) (map[string]any, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if p, ok := m.all[id]; ok {
		return maps.Clone(p), nil
	}
	return nil, cloud.ErrNotFound
}

func (m *memory) Update(_ context.Context, _, id string, in map[string]any) (map[string]any, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, ok := m.all[id]
	if !ok {
		return nil, cloud.ErrNotFound
	}
	maps.Copy(p, in)
	return maps.Clone(p), nil
}

func (m *memory) Delete(_ context.Context, _, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.all, id)
	return nil
}

func (m *memory) Invoke(_ context.Context, token string, args map[string]any) (map[string]any, error) {
	if !strings.HasSuffix(token, ":getAvailabilityDomains") {
		return nil, errors.New("no such function in memory")
	}
	ad := map[string]any{"name": "LAB:AD-1", "id": "ad1", "compartmentId": args["compartmentId"]}
	return map[string]any{"id": "ads", "availabilityDomains": []any{ad}}, nil
}

func (m *memory) find(kind string) (string, map[string]any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, p := range m.all {
		if strings.Contains(id, "."+kind+".") {
			return id, p
		}
	}
	return "", nil
}

func (m *memory) set(id, key string, v any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all[id][key] = v
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	assert.NilError(t, err)
	return string(text)
}
