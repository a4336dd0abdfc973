package cloud

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"gotest.tools/v3/assert"
)

func TestMain(m *testing.M) {
	flush = func(*os.File) error { return nil }
	os.Exit(m.Run())
}

// fakeMachine keeps what the cloud asked for, as the real one would have it.
type fakeMachine struct {
	mu        sync.Mutex
	alive     map[string]InstanceSpec
	ended     []string
	volumes   map[string]int    // size by id
	backups   map[string]string // volume by backup
	restored  map[string]string // backup by volume
	tied      map[string]string // instance by volume
	devices   map[string]string // device by volume
	firewalls map[string]Firewall
	balancers []Balancer
	records   []Record
	healthy   map[string]int // status by URL
	fail      map[string]error
	block     map[string]chan struct{} // operations that hang until closed
	calls     map[string]int
}

func newFake() *fakeMachine {
	return &fakeMachine{
		alive: map[string]InstanceSpec{}, volumes: map[string]int{}, backups: map[string]string{}, restored: map[string]string{}, tied: map[string]string{}, devices: map[string]string{},
		firewalls: map[string]Firewall{}, healthy: map[string]int{}, fail: map[string]error{}, block: map[string]chan struct{}{},
		calls: map[string]int{},
	}
}

// enter counts a call, and blocks or fails it when a test wants that.
func (m *fakeMachine) enter(ctx context.Context, op string) error {
	m.mu.Lock()
	m.calls[op]++
	err, block := m.fail[op], m.block[op]
	m.mu.Unlock()
	if block != nil {
		select {
		case <-block:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return err
}

func (m *fakeMachine) do(ctx context.Context, op string, f func()) error {
	if err := m.enter(ctx, op); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	f()
	return nil
}

func (m *fakeMachine) LaunchInstance(ctx context.Context, s InstanceSpec) error {
	return m.do(ctx, "launch", func() { m.alive[s.ID] = s })
}

func (m *fakeMachine) TerminateInstance(ctx context.Context, id string) error {
	return m.do(ctx, "terminate", func() {
		delete(m.alive, id)
		delete(m.firewalls, id)
		m.ended = append(m.ended, id)
	})
}

func (m *fakeMachine) PowerOff(ctx context.Context, id string) error {
	return m.do(ctx, "power off", func() { delete(m.alive, id) })
}

func (m *fakeMachine) PullVolume(ctx context.Context, _, vol string) error {
	return m.do(ctx, "pull", func() { delete(m.tied, vol); delete(m.devices, vol) })
}

func (m *fakeMachine) InstanceAlive(id string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.alive[id]
	return ok
}

func (m *fakeMachine) CreateVolume(ctx context.Context, id string, size int, backup string) error {
	return m.do(ctx, "create volume", func() {
		if m.volumes[id] == 0 {
			m.volumes[id], m.restored[id] = size, backup
		}
	})
}

func (m *fakeMachine) BackupVolume(ctx context.Context, volume, id string) error {
	return m.do(ctx, "backup", func() { m.backups[id] = volume })
}

func (m *fakeMachine) DeleteBackup(ctx context.Context, id string) error {
	return m.do(ctx, "delete backup", func() { delete(m.backups, id) })
}

func (m *fakeMachine) ResizeVolume(ctx context.Context, id string, size int) error {
	return m.do(ctx, "resize volume", func() { m.volumes[id] = size })
}

func (m *fakeMachine) DeleteVolume(ctx context.Context, id string) error {
	return m.do(ctx, "delete volume", func() { delete(m.volumes, id) })
}

func (m *fakeMachine) AttachVolume(ctx context.Context, inst, vol, device string) error {
	if !m.InstanceAlive(inst) {
		return errors.New("no such instance")
	}
	return m.do(ctx, "attach", func() { m.tied[vol], m.devices[vol] = inst, device })
}

func (m *fakeMachine) DetachVolume(ctx context.Context, inst, vol string) error {
	return m.do(ctx, "detach", func() {
		if m.tied[vol] == inst {
			delete(m.tied, vol)
		}
	})
}

func (m *fakeMachine) SetFirewall(ctx context.Context, id string, f Firewall) error {
	return m.do(ctx, "firewall", func() { m.firewalls[id] = f })
}

func (m *fakeMachine) SetBalancers(ctx context.Context, b []Balancer) error {
	return m.do(ctx, "balancers", func() { m.balancers = b })
}

func (m *fakeMachine) SetZone(ctx context.Context, r []Record) error {
	return m.do(ctx, "zone", func() { m.records = r })
}

func (m *fakeMachine) CheckHTTP(_ context.Context, _ netip.Addr, url string) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.healthy[url]; s != 0 {
		return s, nil
	}
	return 0, errors.New("connection refused")
}

// kill ends an instance behind the cloud's back.
func (m *fakeMachine) kill(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.alive, id)
}

func (m *fakeMachine) set(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f()
}

func (m *fakeMachine) firewall(id string) Firewall {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.firewalls[id]
}

// lab is a cloud with its fake machine and folder.
type lab struct {
	*Cloud
	t    *testing.T
	m    *fakeMachine
	dir  string
	opts Options
}

func newLab(t *testing.T) *lab {
	t.Helper()
	t.Parallel()
	return openLab(t, t.TempDir(), newFake(), Options{})
}

func openLab(t *testing.T, dir string, m *fakeMachine, opts Options) *lab {
	t.Helper()
	c, err := Open(dir, m, opts)
	assert.NilError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return &lab{Cloud: c, t: t, m: m, dir: dir, opts: opts}
}

// restart opens the folder anew, as after kill -9: nothing is told to the old one.
func (l *lab) restart() *lab {
	l.t.Helper()
	_ = l.Close()
	return openLab(l.t, l.dir, l.m, l.opts)
}

// run starts the cloud's own life for the rest of the test.
func (l *lab) run() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	l.t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			l.t.Errorf("Run ended with %v", err)
		}
	})
}

func (l *lab) create(token string, in Props) (string, Props) {
	l.t.Helper()
	id, out, err := l.Create(context.Background(), token, in)
	assert.NilError(l.t, err)
	return id, out
}

// refused creates and expects a service error.
func (l *lab) refused(token string, in Props, status int, message string) {
	l.t.Helper()
	_, _, err := l.Create(context.Background(), token, in)
	l.isError(err, status, message)
}

func (l *lab) isError(err error, status int, message string) {
	l.t.Helper()
	var e *Error
	assert.Assert(l.t, errors.As(err, &e), "want a service error %d, got %v", status, err)
	assert.Equal(l.t, e.Status, status, e.Message)
	assert.ErrorContains(l.t, e, message)
}

func (l *lab) eventually(what string, f func() bool) {
	l.t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if f() {
			return
		}
		if time.Now().After(end) {
			l.t.Fatalf("did not happen within 10 s: %s", what)
		}
	}
}

// with returns a copy of p with some properties replaced; nil takes one away.
func with(p Props, kv ...any) Props {
	out := clone(p)
	for i := 0; i < len(kv); i += 2 {
		if kv[i+1] == nil {
			delete(out, kv[i].(string))
		} else {
			out[kv[i].(string)] = kv[i+1]
		}
	}
	return out
}

func nodeTags(i int) Props {
	return Props{"emqx-cluster": "lab", "pool_type": "emqx", "group-index": fmt.Sprint(i)}
}

func volumeArgs(i int) Props {
	return Props{
		"compartmentId": CompartmentID, "availabilityDomain": AvailabilityDomains[i%3], "sizeInGbs": "150", "vpusPerGb": "10",
		"displayName": fmt.Sprintf("emqx-lab-%d", i), "freeformTags": nodeTags(i),
	}
}

func addressArgs(i int) Props {
	return Props{
		"subnetId": PrivateSubnet, "lifetime": "RESERVED", "displayName": fmt.Sprintf("emqx-lab-%d", i), "freeformTags": nodeTags(i),
	}
}

func configurationArgs(i int, groups ...any) Props {
	return Props{
		"compartmentId": CompartmentID, "displayName": fmt.Sprintf("emqx-lab-%d", i), "freeformTags": nodeTags(i),
		"instanceDetails": Props{"instanceType": "compute", "launchDetails": Props{
			"compartmentId": CompartmentID, "availabilityDomain": AvailabilityDomains[i%3], "displayName": "ignored",
			"shape": "VM.Standard.E4.Flex", "shapeConfig": Props{"ocpus": 2, "memoryInGbs": 16}, "freeformTags": nodeTags(i),
			"sourceDetails":     Props{"sourceType": "image", "imageId": ImageID, "bootVolumeSizeInGbs": "50"},
			"createVnicDetails": Props{"subnetId": PrivateSubnet, "assignPublicIp": false, "nsgIds": groups},
			"metadata":          Props{"user_data": base64.StdEncoding.EncodeToString([]byte("#!/bin/bash\necho hello\n"))},
		}},
	}
}

func poolArgs(i int, configuration string) Props {
	return Props{
		"compartmentId": CompartmentID, "instanceConfigurationId": configuration, "size": 1,
		"displayName": fmt.Sprintf("emqx-lab-%d", i), "instanceDisplayNameFormatter": fmt.Sprintf("emqx-lab-%d", i), "freeformTags": nodeTags(i),
		"placementConfigurations": []any{Props{"availabilityDomain": AvailabilityDomains[i%3], "primarySubnetId": PrivateSubnet}},
	}
}

// pool makes a configuration and a pool of one and returns the pool's id.
func (l *lab) pool(i int, groups ...any) string {
	l.t.Helper()
	cfg, _ := l.create(typeConfiguration, configurationArgs(i, groups...))
	id, _ := l.create(typePool, poolArgs(i, cfg))
	return id
}

// instanceOf returns a pool's only instance.
func (l *lab) instanceOf(pool string) instance {
	l.t.Helper()
	var out []instance
	l.read(func(s *state) {
		for _, i := range s.instances() {
			if i.Pool == pool && i.live() {
				out = append(out, *i)
			}
		}
	})
	assert.Equal(l.t, len(out), 1, "live instances of the pool")
	return out[0]
}

func (l *lab) group(name string) string {
	l.t.Helper()
	id, _ := l.create(typeGroup, Props{"compartmentId": CompartmentID, "vcnId": VCNID, "displayName": name})
	return id
}

func ingress(group, source string, low, high int) Props {
	kind := "CIDR_BLOCK"
	if slices.Contains([]byte(source), 'o') {
		kind = "NETWORK_SECURITY_GROUP"
	}
	return Props{
		"networkSecurityGroupId": group, "direction": "INGRESS", "protocol": "6", "source": source, "sourceType": kind,
		"tcpOptions": Props{"destinationPortRange": Props{"min": low, "max": high}},
	}
}
