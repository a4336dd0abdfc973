package cloud

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"gotest.tools/v3/assert"
)

// fakeClock sleeps in no time and adds up.
type fakeClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *fakeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *fakeClock) Sleep(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(max(d, 0))
	return ctx.Err()
}

func TestEveryTokenHasALatency(t *testing.T) {
	for token := range kinds {
		for _, op := range []Op{OpCreate, OpUpdate, OpDelete} {
			assert.Assert(t, LatencyOCI(1).Of(token, op) > 0, "%s %s", op, token)
			assert.Equal(t, Latency{}.Of(token, op), time.Duration(0))
		}
	}
	assert.Equal(t, LatencyOCI(0.1).Of(typeBalancer, OpCreate), 6*time.Second)
	assert.Equal(t, LatencyOCI(1).Of("no such thing", OpCreate), time.Duration(0))
}

func TestOperationsTakeTheirTime(t *testing.T) {
	clock := &fakeClock{now: time.Unix(1700000000, 0)}
	l := openLab(t, t.TempDir(), newFake(), Options{Latency: LatencyOCI(1), Clock: clock})
	took := func(f func()) time.Duration {
		before := clock.Now()
		f()
		return clock.Now().Sub(before)
	}
	lat := LatencyOCI(1)
	assert.Equal(t, took(func() { l.create(typeVolume, volumeArgs(0)) }), lat.Of(typeVolume, OpCreate))
	assert.Equal(t, took(func() { l.create(typeBalancer, balancerArgs()) }), lat.Of(typeBalancer, OpCreate))
	cfg, _ := l.create(typeConfiguration, configurationArgs(0))
	var pool string
	assert.Equal(t, took(func() { pool, _ = l.create(typePool, poolArgs(0, cfg)) }),
		lat.Of(typePool, OpCreate)+lat.Of(LaunchInstance, OpCreate))
	i := l.instanceOf(pool)
	assert.Equal(t, took(func() { l.Metadata(i.ID, "/opc/v2/instance/") }), lat.Of(BootInstance, OpCreate), "the guest boots")
	assert.Equal(t, took(func() { l.Metadata(i.ID, "/opc/v2/instance/") }), time.Duration(0), "and has booted then")
	assert.Equal(t, took(func() { assert.NilError(t, l.Delete(context.Background(), typePool, pool)) }),
		lat.Of(typePool, OpDelete)+lat.Of(TerminateInstance, OpDelete))
}

func TestLatencyEndsWithItsCaller(t *testing.T) {
	l := openLab(t, t.TempDir(), newFake(), Options{Latency: LatencyOCI(100)})
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	_, _, err := l.Create(ctx, typeVolume, volumeArgs(0))
	assert.Assert(t, errors.Is(err, context.DeadlineExceeded), err)
}
