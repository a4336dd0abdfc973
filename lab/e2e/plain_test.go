//go:build lab

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"gotest.tools/v3/assert"
)

// plain is what a person has who knows Pulumi and not us: a checkout, the pulumi
// command, and what `emqx-oci lab env` prints.
type plain struct {
	*bed
	path string
	env  map[string]string
}

func newPlain(t *testing.T, b *bed) *plain {
	t.Helper()
	p := &plain{bed: b, path: b.tools + ":" + os.Getenv("PATH")}
	assert.NilError(t, json.Unmarshal([]byte(b.must(t, "lab", "env", "--json").stdout), &p.env))
	if host, err := exec.LookPath("pulumi-language-go"); err == nil {
		t.Logf("the language host is %s", host)
		return p
	}
	dir := t.TempDir()
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", dir, "../../internal/langhost/cmd/pulumi-language-go").CombinedOutput()
	assert.NilError(t, err, "%s", out)
	p.path = dir + ":" + p.path
	return p
}

// pulumi runs the command in the tree, on the lab's stack file of the test.
func (p *plain) pulumi(t *testing.T, args ...string) result {
	t.Helper()
	return p.pulumiIn(t, filepath.Join("..", ".."), append(args, "--config-file", filepath.Join(p.project, "Pulumi.lab.yaml"))...)
}

// pulumiIn runs the command in a project's folder, on its own file of the lab's stack.
func (p *plain) pulumiIn(t *testing.T, dir string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	cmd := p.command(ctx, dir, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	start := time.Now()
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("pulumi %s: %v", args[0], err)
	}
	r := result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String(), time.Since(start)}
	t.Logf("pulumi %s: exit %d after %s", args[0], r.code, r.took.Round(100*time.Millisecond))
	return r
}

func (p *plain) command(ctx context.Context, dir string, args ...string) *exec.Cmd {
	args = append(args, "--stack", "lab", "--non-interactive")
	cmd := exec.CommandContext(ctx, filepath.Join(p.tools, "pulumi"), args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+p.path, "PULUMI_SKIP_UPDATE_CHECK=true", "NO_COLOR=1")
	for k, v := range p.env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	return cmd
}

// changes are what a plain preview would do, as "<op> <urn>", without components:
// emqx-oci does not show them.
func (p *plain) changes(t *testing.T) []string {
	t.Helper()
	r := p.pulumi(t, "preview", "--json")
	assert.Equal(t, r.code, 0, "%s", r)
	var plan struct {
		Steps         []struct{ Op, URN string }
		ChangeSummary map[string]int
	}
	assert.NilError(t, json.Unmarshal([]byte(r.stdout), &plan), "%s", r)
	assert.Assert(t, plan.ChangeSummary["same"] > 60, "the plan is of another stack: %v", plan.ChangeSummary)
	changes := []string{}
	for _, s := range plan.Steps {
		if s.Op != "same" && s.Op != "read" && !strings.HasPrefix(string(resource.URN(s.URN).Type()), "emqx:") {
			changes = append(changes, s.Op+" "+s.URN)
		}
	}
	slices.Sort(changes)
	return changes
}

// ours are those of emqx-oci.
func (b *bed) ours(t *testing.T) []string {
	t.Helper()
	changes := []string{}
	for line := range strings.Lines(b.must(t, "preview", "lab", "--json").stdout) {
		var e struct{ Event, Op, URN string }
		assert.NilError(t, json.Unmarshal([]byte(line), &e), "%s", line)
		if e.Event == "plan" && e.Op != "read" {
			changes = append(changes, e.Op+" "+e.URN)
		}
	}
	slices.Sort(changes)
	return changes
}

// plainPulumi goes on with plain `pulumi` on a stack that emqx-oci deployed: the
// same resources, gates, guards and check at the end, and a stack file that it
// leaves as it is.
func plainPulumi(t *testing.T, b *bed) {
	p := newPlain(t, b)
	file := filepath.Join(b.project, "Pulumi.lab.yaml")
	before, err := os.ReadFile(file)
	assert.NilError(t, err)

	assert.DeepEqual(t, p.changes(t), []string{})
	r := p.pulumi(t, "up", "--yes", "--skip-preview")
	assert.Equal(t, r.code, 0, "%s", r)
	assert.Assert(t, strings.Contains(r.stdout, "verify: G5 round trip: a message came back through "+name+" by mqtt, mqtts, ws and wss"), "%s", r)

	b.edit(t, "memoryMb: 512", "memoryMb: 544")
	changes := p.changes(t)
	b.edit(t, "memoryMb: 544", "memoryMb: 512")
	assert.Assert(t, len(changes) == 1 && strings.HasPrefix(changes[0], "update ") && strings.HasSuffix(changes[0], "::cluster-emqx"), "%v", changes)

	b.edit(t, "    count: 3\n", "    count: 4\n")
	changes = p.changes(t)
	assert.DeepEqual(t, changes, b.ours(t))
	b.edit(t, "    count: 4\n", "    count: 3\n")
	assert.Assert(t, len(changes) > 8, "%v", changes)

	b.edit(t, "    count: 3\n", "    count: 2\n")
	r = p.pulumi(t, "up", "--yes", "--skip-preview")
	b.edit(t, "    count: 2\n", "    count: 3\n")
	assert.Assert(t, r.code != 0, "%s", r)
	for _, want := range []string{"volume-delete", "guards.allowVolumeDelete"} {
		assert.Assert(t, strings.Contains(r.stdout+r.stderr, want), "%q is missing in:\n%s", want, r)
	}
	placement(t) // nothing was touched

	after, err := os.ReadFile(file)
	assert.NilError(t, err)
	assert.Equal(t, string(after), string(before))
}

// adoption takes over volumes and a pool that others made, as
// docs/from-terraform.md says: they stay what they are, with what is on them.
func adoption(t *testing.T, b *bed) {
	p := newPlain(t, b)
	old := makeOldCloud(t, status(t, b).Providers)
	for i, id := range old.volumes {
		image := filepath.Join(b.dir, "volumes", id+".img")
		mark := filepath.Join(t.TempDir(), "mark")
		assert.NilError(t, os.WriteFile(mark, fmt.Appendf(nil, "written before %d", i), 0o600))
		for _, args := range [][]string{
			{"mkfs.ext4", "-q", "-F", "-L", fmt.Sprintf("emqx-%d", i), image},
			{"debugfs", "-w", "-R", "write " + mark + " mark", image},
		} {
			out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput()
			assert.NilError(t, err, "%s: %s", args[0], out)
		}
	}

	type entry struct {
		Type      string            `json:"type"`
		Name      string            `json:"name"`
		ID        string            `json:"id,omitempty"`
		Parent    string            `json:"parent,omitempty"`
		Provider  string            `json:"provider,omitempty"`
		Component bool              `json:"component,omitempty"`
		Inputs    map[string]string `json:"inputs,omitempty"`
	}
	list := []entry{
		{Type: "emqx:index:Cluster", Name: "cluster", Component: true},
		{Type: "pulumi:providers:oci", Name: "cluster-oci", Inputs: map[string]string{"region": "lab-1"}},
		{Type: "emqx:oci:Volumes", Name: "cluster-volumes", Parent: "cluster", Component: true},
		{Type: "emqx:oci:InstancePools", Name: "cluster-pools", Parent: "cluster", Component: true},
		{Type: "oci:Core/instancePool:InstancePool", Name: "cluster-pools-0", ID: old.pool, Parent: "cluster-pools", Provider: "cluster-oci"},
	}
	for i, id := range old.volumes {
		list = append(list, entry{Type: "oci:Core/volume:Volume", Name: fmt.Sprintf("cluster-volumes-%d", i), ID: id, Parent: "cluster-volumes", Provider: "cluster-oci"})
	}
	text, err := json.Marshal(map[string]any{"resources": list})
	assert.NilError(t, err)
	file := filepath.Join(t.TempDir(), "import.json")
	assert.NilError(t, os.WriteFile(file, text, 0o600))
	r := p.pulumi(t, "import", "--file", file, "--generate-code=false", "--yes")
	assert.Equal(t, r.code, 0, "%s", r)

	for _, c := range b.ours(t) {
		op, urn, _ := strings.Cut(c, " ")
		assert.Check(t, op == "create" || op == "update", "%s", c)
		for _, x := range list {
			if x.ID != "" && strings.HasSuffix(urn, "$"+x.Type+"::"+x.Name) {
				assert.Check(t, op == "update", "%s", c)
			}
		}
	}

	var out syncBuffer
	cmd := b.start(t, &out, "up", "lab", "--yes")
	eventually(t, 3*time.Minute, "only the old instance's node to wait for", func() error {
		if s := out.String(); !strings.Contains(s, "2/3 nodes") {
			return fmt.Errorf("so far: %s", s)
		}
		return nil
	})
	for _, g := range status(t, b).Guests {
		if strings.Contains(g.Name, "iot-emqx-0") {
			assert.NilError(t, syscall.Kill(g.PID, syscall.SIGKILL))
		}
	}
	assert.NilError(t, cmd.Wait(), "%s", out.String())

	s := status(t, b)
	var volumes []string
	for i := range old.volumes {
		node := fmt.Sprintf("emqx-lab-%d", i)
		for _, v := range s.Cloud.Volumes {
			if v.Name == node {
				volumes = append(volumes, v.ID)
			}
		}
		r := b.must(t, "lab", "exec", "--in", node, "--", "cat", fmt.Sprintf("/mnt/bv/emqx-%d/mark", i))
		assert.Equal(t, r.stdout, fmt.Sprintf("written before %d", i))
	}
	assert.DeepEqual(t, volumes, old.volumes)
	assert.Equal(t, len(s.Cloud.Volumes), 3, "%+v", s.Cloud.Volumes)
	assert.DeepEqual(t, p.changes(t), []string{})
	placement(t)
}

// oldCloud is what three Terraform stacks left, as far as it is worth keeping.
type oldCloud struct {
	volumes []string
	pool    string
}

// makeOldCloud asks the lab's cloud for it, outside of any stack: its own oci provider,
// whichever one the stack has.
func makeOldCloud(t *testing.T, providers string) oldCloud {
	t.Helper()
	_, port, _ := strings.Cut(providers, "oci:")
	port, _, _ = strings.Cut(port, ",")
	conn, err := grpc.NewClient("127.0.0.1:"+port, grpc.WithTransportCredentials(insecure.NewCredentials()))
	assert.NilError(t, err)
	defer conn.Close()
	client := pulumirpc.NewResourceProviderClient(conn)
	type m = map[string]any
	create := func(kind, name string, in m) string {
		inputs, err := plugin.MarshalProperties(resource.NewPropertyMapFromMap(in), plugin.MarshalOptions{})
		assert.NilError(t, err)
		made, err := client.Create(t.Context(), &pulumirpc.CreateRequest{Urn: "urn:pulumi:old::old::oci:Core/" + kind + "::" + name, Properties: inputs})
		assert.NilError(t, err)
		return made.GetId()
	}
	region, err := plugin.MarshalProperties(resource.NewPropertyMapFromMap(m{"region": "lab-1"}), plugin.MarshalOptions{})
	assert.NilError(t, err)
	_, err = client.Configure(t.Context(), &pulumirpc.ConfigureRequest{Args: region})
	assert.NilError(t, err)

	const compartment, subnet = "ocid1.compartment.oc1..lab", "ocid1.subnet.oc1.lab-1.private"
	var old oldCloud
	for i := range 3 {
		old.volumes = append(old.volumes, create("volume:Volume", fmt.Sprint(i), m{
			"compartmentId": compartment, "availabilityDomain": fmt.Sprintf("LAB:AD-%d", i+1), "sizeInGbs": "50", "vpusPerGb": "10",
			"displayName": fmt.Sprintf("iot-emqx-volume-%d", i), "freeformTags": m{"group": fmt.Sprint(i)},
		}))
	}
	configuration := create("instanceConfiguration:InstanceConfiguration", "0", m{
		"compartmentId": compartment, "displayName": "iot-emqx-0",
		"instanceDetails": m{"instanceType": "compute", "launchDetails": m{
			"compartmentId": compartment, "availabilityDomain": "LAB:AD-1", "shape": "VM.Standard.E4.Flex",
			"shapeConfig":       m{"ocpus": 1, "memoryInGbs": 4},
			"sourceDetails":     m{"sourceType": "image", "imageId": "ocid1.image.oc1.lab-1.lab"},
			"createVnicDetails": m{"subnetId": subnet, "assignPublicIp": false},
			"metadata":          m{"user_data": "IyEvYmluL3NoCg=="}, // a script that does nothing
		}},
	})
	old.pool = create("instancePool:InstancePool", "0", m{
		"compartmentId": compartment, "instanceConfigurationId": configuration, "size": 1, "displayName": "iot-emqx-0",
		"placementConfigurations": []any{m{"availabilityDomain": "LAB:AD-1", "primarySubnetId": subnet}},
	})
	return old
}
