package components

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	nomad "github.com/hashicorp/nomad/api"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/proxy/haproxy"
	"github.com/emqx-oci/emqx-oci/components/recorder"
	"github.com/emqx-oci/emqx-oci/components/settings"
	"github.com/emqx-oci/emqx-oci/infra/gates"
)

// nomadOf are the nodes of a cluster, and what was done to them.
type nomadOf struct {
	gates.NomadClient // what is not asked
	nodes             map[string]*nomad.Node
	size              int
	log               []string
}

func (f *nomadOf) did(format string, a ...any) { f.log = append(f.log, fmt.Sprintf(format, a...)) }

func (f *nomadOf) Nodes(context.Context) (out []*nomad.NodeListStub, err error) {
	for id, n := range f.nodes {
		out = append(out, &nomad.NodeListStub{ID: id, ModifyIndex: n.ModifyIndex})
	}
	return out, nil
}

func (f *nomadOf) Node(_ context.Context, id string) (*nomad.Node, error) { return f.nodes[id], nil }

func (f *nomadOf) Job(context.Context, string) (*nomad.Job, error) {
	if f.size == 0 {
		return nil, gates.ErrNotFound
	}
	return &nomad.Job{TaskGroups: []*nomad.TaskGroup{{Count: &f.size}}}, nil
}

func (f *nomadOf) Allocations(context.Context, string) ([]*nomad.AllocationListStub, error) {
	return nil, nil
}

func (f *nomadOf) Drain(_ context.Context, id string, _ time.Duration) error {
	f.did("drain %s", id)
	f.nodes[id].SchedulingEligibility = nomad.NodeSchedulingIneligible
	f.nodes[id].ModifyIndex++
	return nil
}

func (f *nomadOf) Undrain(_ context.Context, id string) error {
	f.did("give back %s", id)
	return nil
}

func (f *nomadOf) Alive(_ context.Context, id string) error {
	if f.nodes[id] == nil {
		return errors.New("gone")
	}
	return nil
}

func (f *nomadOf) Purge(_ context.Context, id string) error {
	f.did("forget %s", id)
	return nil
}

// boots registers node i as an instance that has just come.
func (f *nomadOf) boots(i int, eligibility string) {
	for id, n := range f.nodes {
		if n.Name == cluster.NodeName("lab", i) {
			delete(f.nodes, id)
		}
	}
	id := fmt.Sprintf("node-%d-%d", i, len(f.log))
	f.nodes[id] = &nomad.Node{
		ID: id, Name: cluster.NodeName("lab", i), Status: nomad.NodeStatusReady, SchedulingEligibility: eligibility,
		Meta:        map[string]string{"pool_type": "emqx", "group-index": fmt.Sprint(i), "emqx_cluster": "lab"},
		Drivers:     map[string]*nomad.DriverInfo{"docker": {Detected: true, Healthy: true}},
		HostVolumes: map[string]*nomad.HostVolumeInfo{fmt.Sprintf("emqx[%d]", i): {}},
	}
}

// turnsOf relaunches nodes of a cluster of three and returns what happened.
func turnsOf(t *testing.T, f *nomadOf, sick string, relaunched ...int) ([]string, error) {
	t.Helper()
	all := cluster.NamedNodes("lab", 3)
	r := relauncher{
		nomad: f, environment: "lab", emqx: "emqx-lab", proxies: "emqx-lab-haproxy", stop: time.Second, ready: time.Second,
		of: func(count int) gates.List {
			list := openGates(settings.Settings{}, haproxy.Proxy{})
			for i, e := range list {
				list[i].Gate = gates.Gate{ID: e.Gate.ID, Title: "gate", Timeout: time.Millisecond, Check: func(context.Context) (gates.Status, error) {
					f.did("%s of %d", e.Gate.ID, count)
					return gates.Status{Holds: e.Gate.ID != sick, Seen: "sick"}, nil
				}}
			}
			return list
		},
	}
	nodes := []cluster.Node{}
	for _, i := range relaunched {
		nodes = append(nodes, all[i])
	}
	_, err := recorder.Run(func(ctx *pulumi.Context) error {
		return r.inTurn(ctx, all, nodes, func(n cluster.Node) error {
			f.did("launch %d", n.Index)
			f.boots(n.Index, nomad.NodeSchedulingEligible)
			return nil
		})
	}, recorder.Options{})
	return f.log, err
}

var wholeOf3 = []string{"G1 of 3", "G2 of 3", "G3 of 3", "G4 of 3"}

func TestInstancesAreRelaunchedOneByOneInAClusterThatIsWhole(t *testing.T) {
	f := &nomadOf{size: 3, nodes: map[string]*nomad.Node{}}
	for i := range 3 {
		f.boots(i, nomad.NodeSchedulingEligible)
	}
	log, err := turnsOf(t, f, "", 0, 2)
	assert.NilError(t, err)
	want := append([]string{}, wholeOf3...)
	want = append(want, "drain node-0-0", "launch 0", "forget node-0-0")
	want = append(want, wholeOf3...)
	want = append(want, "drain node-2-0", "launch 2", "forget node-2-0")
	assert.DeepEqual(t, log, append(want, wholeOf3...))
}

// What an interrupted update left behind comes first, or the cluster would never
// be whole.
func TestNodesThatAreAwayHaveTheFirstTurn(t *testing.T) {
	f := &nomadOf{size: 3, nodes: map[string]*nomad.Node{}}
	f.boots(0, nomad.NodeSchedulingEligible)
	f.boots(1, nomad.NodeSchedulingIneligible)
	log, err := turnsOf(t, f, "", 0, 1, 2)
	assert.NilError(t, err)
	want := append([]string{"launch 2", "launch 1", "forget node-1-0"}, wholeOf3...)
	want = append(want, "drain node-0-0", "launch 0", "forget node-0-0")
	assert.DeepEqual(t, log, append(want, wholeOf3...))
}

func TestNothingIsTouchedInASickCluster(t *testing.T) {
	f := &nomadOf{size: 3, nodes: map[string]*nomad.Node{}}
	for i := range 3 {
		f.boots(i, nomad.NodeSchedulingEligible)
	}
	log, err := turnsOf(t, f, "G2", 1)
	assert.ErrorContains(t, err, `relaunching instance "emqx-lab-1", 1 of 1: waiting for G2 gate`)
	assert.DeepEqual(t, log[:2], wholeOf3[:2])
	for _, l := range log {
		assert.Assert(t, l == "G1 of 3" || l == "G2 of 3", l)
	}
}

func TestWithoutEMQXNothingWaits(t *testing.T) {
	log, err := turnsOf(t, &nomadOf{nodes: map[string]*nomad.Node{}}, "G1", 0, 1, 2)
	assert.NilError(t, err)
	assert.DeepEqual(t, log, []string{"launch 0", "launch 1", "launch 2"})
}

func TestADrainThatIsNoLongerWantedIsTakenBack(t *testing.T) {
	f := &nomadOf{size: 3, nodes: map[string]*nomad.Node{}}
	f.boots(1, nomad.NodeSchedulingIneligible)
	f.nodes["node-1-0"].LastDrain = &nomad.DrainMetadata{Meta: map[string]string{"emqx-oci": "relaunch"}}
	log, err := turnsOf(t, f, "")
	assert.NilError(t, err)
	assert.DeepEqual(t, log, []string{"give back node-1-0"})
}
