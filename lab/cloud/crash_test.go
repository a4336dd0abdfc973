package cloud

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gotest.tools/v3/assert"
)

var errKilled = errors.New("killed")

// process is one run of the daemon that dies at a chosen moment: it writes no
// more state and has no more effect on the machine, as after kill -9.
type process struct {
	*fakeMachine
	mu    sync.Mutex
	left  int  // moments until death; negative: never
	after bool // dies after the machine has done it, not before
	dead  bool
	cloud *Cloud
	junk  string
}

// moment counts down; done tells whether the machine has already acted.
func (p *process) moment(done bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.dead && p.left >= 0 && done == p.after {
		if p.left--; p.left < 0 {
			p.dead = true
			p.cloud.mu.Lock()
			p.cloud.path = p.junk
			p.cloud.mu.Unlock()
		}
	}
	if p.dead {
		return errKilled
	}
	return nil
}

func (p *process) act(f func() error) error {
	if err := p.moment(false); err != nil {
		return err
	}
	if err := f(); err != nil {
		return err
	}
	return p.moment(true)
}

func (p *process) LaunchInstance(ctx context.Context, s InstanceSpec) error {
	return p.act(func() error { return p.fakeMachine.LaunchInstance(ctx, s) })
}

func (p *process) TerminateInstance(ctx context.Context, id string) error {
	return p.act(func() error { return p.fakeMachine.TerminateInstance(ctx, id) })
}

func (p *process) CreateVolume(ctx context.Context, id string, n int, backup string) error {
	return p.act(func() error { return p.fakeMachine.CreateVolume(ctx, id, n, backup) })
}

func (p *process) ResizeVolume(ctx context.Context, id string, n int) error {
	return p.act(func() error { return p.fakeMachine.ResizeVolume(ctx, id, n) })
}

func (p *process) DeleteVolume(ctx context.Context, id string) error {
	return p.act(func() error { return p.fakeMachine.DeleteVolume(ctx, id) })
}

func (p *process) AttachVolume(ctx context.Context, i, v, d string) error {
	return p.act(func() error { return p.fakeMachine.AttachVolume(ctx, i, v, d) })
}

func (p *process) DetachVolume(ctx context.Context, i, v string) error {
	return p.act(func() error { return p.fakeMachine.DetachVolume(ctx, i, v) })
}

func (p *process) SetFirewall(ctx context.Context, id string, f Firewall) error {
	return p.act(func() error { return p.fakeMachine.SetFirewall(ctx, id, f) })
}

func (p *process) SetBalancers(ctx context.Context, b []Balancer) error {
	return p.act(func() error { return p.fakeMachine.SetBalancers(ctx, b) })
}

func (p *process) SetZone(ctx context.Context, r []Record) error {
	return p.act(func() error { return p.fakeMachine.SetZone(ctx, r) })
}

// Now and Sleep make the moments between recording and acting count as well.
func (p *process) Now() time.Time { return time.Now() }

func (p *process) Sleep(ctx context.Context, _ time.Duration) error {
	return p.act(func() error { return ctx.Err() })
}

// A daemon that dies at any moment of a deployment and its removal loses nothing:
// the step that failed is simply done again, as `pulumi up` does, there is never a
// second volume or instance, and in the end nothing is left.
func TestKilledAtEveryMoment(t *testing.T) {
	const moments = 70 // more than the scenario has, which the last one shows
	for _, after := range []bool{false, true} {
		for moment := range moments {
			t.Run(fmt.Sprintf("after=%v/%d", after, moment), func(t *testing.T) {
				t.Parallel()
				died := deployWithDeath(t, moment, after)
				assert.Assert(t, died || moment > 40, "the scenario has only %d moments", moment)
				assert.Assert(t, !died || moment < moments-1, "the scenario has more moments")
			})
		}
	}
}

func deployWithDeath(t *testing.T, moment int, after bool) (died bool) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	m := newFake()
	dir, junk := t.TempDir(), filepath.Join(t.TempDir(), "junk")
	start := func(left int) *process {
		p := &process{fakeMachine: m, left: left, after: after, junk: junk}
		c, err := Open(dir, p, Options{Clock: p})
		assert.NilError(t, err)
		p.cloud = c
		return p
	}
	p := start(moment)
	label := fmt.Sprintf("killed at moment %d (after: %v)", moment, after)
	// step repeats f until it succeeds; once, because there is one death.
	step := func(name string, f func() error) {
		err := f()
		if err == nil {
			return
		}
		assert.Assert(t, p.dead, "%s, %s: %v", label, name, err)
		died = true
		assert.NilError(t, p.cloud.Close())
		p = start(-1)
		assert.NilError(t, p.cloud.reassert(ctx), "%s, reassert before %s", label, name)
		assert.NilError(t, p.cloud.tend(ctx), "%s, tend before %s", label, name)
		assert.NilError(t, f(), "%s, %s again", label, name)
	}
	ids := map[string]string{}
	create := func(name, token string, in func() Props) {
		step("create "+name, func() (err error) {
			ids[name], _, err = p.cloud.Create(ctx, token, in())
			return err
		})
	}
	remove := func(name, token string) {
		step("delete "+name, func() error { return p.cloud.Delete(ctx, token, ids[name]) })
	}
	create("group", typeGroup, func() Props { return Props{"compartmentId": CompartmentID, "vcnId": VCNID} })
	create("rule", typeRule, func() Props { return ingress(ids["group"], ids["group"], 1, 2) })
	create("volume", typeVolume, func() Props { return volumeArgs(0) })
	create("address", typePrivateIP, func() Props { return addressArgs(0) })
	create("configuration", typeConfiguration, func() Props { return configurationArgs(0, ids["group"]) })
	create("pool", typePool, func() Props { return poolArgs(0, ids["configuration"]) })
	step("boot", func() error { return bootScript(ctx, p.cloud, ids["volume"]) })
	create("balancer", typeBalancer, func() Props { return balancerArgs(ids["group"]) })
	create("set", typeBackendSet, func() Props { return setArgs(ids["balancer"], "mqtt") })
	create("backend", typeBackend, func() Props { return backendArgs(ids["balancer"], "mqtt", "10.80.1.10") })
	create("whole set", typeUnifiedSet, func() Props {
		return with(setArgs(ids["balancer"], "ws"), "backends", []any{Props{"name": "emqx-lab-0", "ipAddress": "10.80.1.10", "port": 8083}})
	})
	create("listener", typeListener, func() Props { return listenerArgs(ids["balancer"], "mqtt", 1883) })
	step("grow", func() error {
		_, err := p.cloud.Update(ctx, typeVolume, ids["volume"], with(volumeArgs(0), "sizeInGbs", "200"))
		return err
	})

	assert.Equal(t, len(m.alive), 1, label)
	assert.DeepEqual(t, m.volumes, map[string]int{ids["volume"]: 200})
	s := p.cloud.Snapshot()
	assert.Equal(t, len(s.Instances), 1, label)
	assert.Equal(t, len(s.Unclaimed), 0, label)
	i := s.Instances[0]
	assert.Equal(t, m.tied[ids["volume"]], i.ID, label)
	assert.DeepEqual(t, i.Reserved, []string{"10.80.1.10"})
	same(t, m.firewalls[i.ID].Addresses, []netip.Addr{netip.MustParseAddr(i.Address), netip.MustParseAddr("10.80.1.10")})
	assert.Equal(t, len(m.balancers), 1, label)
	assert.Equal(t, len(m.balancers[0].Listeners), 1, label)
	for _, set := range s.Balancers[0].Sets {
		assert.Equal(t, len(set.Backends), 1, "%s: %s", label, set.Name)
	}

	remove("listener", typeListener)
	remove("backend", typeBackend)
	remove("set", typeBackendSet)
	remove("whole set", typeUnifiedSet)
	remove("balancer", typeBalancer)
	remove("pool", typePool)
	remove("configuration", typeConfiguration)
	remove("address", typePrivateIP)
	remove("volume", typeVolume)
	remove("rule", typeRule)
	remove("group", typeGroup)
	assert.Equal(t, len(m.alive)+len(m.volumes)+len(m.tied)+len(m.balancers), 0, label)
	p.cloud.read(func(s *state) { assert.Equal(t, len(s.Resources)+len(s.Instances)+len(s.Attachments), 0, label) })
	assert.NilError(t, p.cloud.Close())
	return died
}

// bootScript claims volume and address, and may be run again.
func bootScript(ctx context.Context, c *Cloud, volume string) error {
	i := c.Snapshot().Instances[0]
	oci := func(line string) (string, error) {
		stdout, stderr, exit := c.CLI(ctx, i.ID, append(strings.Fields(line), "--auth", "instance_principal"))
		if exit != 0 {
			return "", fmt.Errorf("%s: %s", line, stderr)
		}
		return string(stdout), nil
	}
	held, err := oci("compute volume-attachment list --compartment-id " + CompartmentID + " --volume-id " + volume)
	if err != nil {
		return err
	}
	if !strings.Contains(held, `"ATTACHED"`) {
		if _, err := oci("compute volume-attachment attach --type paravirtualized --instance-id " + i.ID + " --volume-id " + volume +
			" --device /dev/oracleoci/oraclevdb --wait-for-state ATTACHED"); err != nil {
			return err
		}
	}
	vnic := ""
	c.read(func(s *state) { vnic = s.Instances[i.ID].VNIC })
	_, err = oci("network vnic assign-private-ip --vnic-id " + vnic + " --ip-address 10.80.1.10 --unassign-if-already-assigned")
	return err
}
