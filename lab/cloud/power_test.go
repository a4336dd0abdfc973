package cloud

import (
	"context"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"
)

func TestAStoppedInstanceStaysItsPools(t *testing.T) {
	l := newLab(t)
	pool := l.pool(1)
	volume, _ := l.create(typeVolume, volumeArgs(1))
	i := l.instanceOf(pool)
	_, err := l.attach(t.Context(), i.ID, volume, "", "", "")
	assert.NilError(t, err)
	l.run()

	assert.NilError(t, l.StopInstance(t.Context(), i.ID))
	assert.NilError(t, l.StopInstance(t.Context(), i.ID), "once more")
	assert.Assert(t, !l.m.InstanceAlive(i.ID))
	time.Sleep(2 * poolTick)
	was := l.instanceOf(pool) // the pool has launched no other
	assert.Equal(t, was.ID, i.ID)
	assert.Equal(t, was.State, stopped)
	_, err = l.attach(t.Context(), i.ID, volume, "", "", "")
	l.isError(err, 409, "must be RUNNING")

	delete(l.m.tied, volume) // what PowerOff does to the device
	assert.NilError(t, l.StartInstance(t.Context(), i.ID))
	assert.NilError(t, l.StartInstance(t.Context(), i.ID), "once more")
	assert.Equal(t, l.instanceOf(pool).State, running)
	assert.Equal(t, l.instanceOf(pool).Address, i.Address, "its addresses stay")
	assert.Equal(t, l.m.tied[volume], i.ID, "its volumes are there again")

	l.isError(l.StopInstance(t.Context(), "ocid1.instance.none"), 404, "")
	l.isError(l.StartInstance(t.Context(), "ocid1.instance.none"), 404, "")
}

func TestAPoolWithAStoppedInstanceCanBeDeleted(t *testing.T) {
	l := newLab(t)
	pool := l.pool(0)
	i := l.instanceOf(pool)
	assert.NilError(t, l.StopInstance(t.Context(), i.ID))
	assert.NilError(t, l.Delete(t.Context(), typePool, pool))
	assert.Equal(t, len(l.Snapshot().Instances), 0)
}

func TestATerminatedInstanceIsFollowedByOneWithANewAddress(t *testing.T) {
	l := newLab(t)
	pool := l.pool(0)
	i := l.instanceOf(pool)
	l.run()
	assert.NilError(t, l.TerminateInstance(t.Context(), i.ID))
	l.eventually("another instance runs", func() bool {
		s := l.Snapshot().Instances
		return len(s) == 1 && s[0].State == running && s[0].ID != i.ID && s[0].Address != i.Address
	})
	assert.Assert(t, !l.m.InstanceAlive(i.ID))
}

func TestALostDomainLaunchesNothingUntilItIsBack(t *testing.T) {
	l := newLab(t)
	here, there := l.pool(0), l.pool(1)
	lost, kept := l.instanceOf(there), l.instanceOf(here)
	l.run()
	assert.NilError(t, l.LoseDomain(t.Context(), lost.AD))
	l.isError(l.LoseDomain(t.Context(), "LAB:AD-9"), 400, "does not exist")
	l.eventually("the pool waits for a host", func() bool {
		s := l.Snapshot().Instances
		return len(s) == 2 && s[1].ID != lost.ID && s[1].State == provisioning
	})
	assert.Equal(t, l.instanceOf(here).ID, kept.ID, "other domains go on")
	assert.Equal(t, l.m.calls["launch"], 2)
	_, _, err := l.Create(t.Context(), typePool, with(poolArgs(1, str(l.s.Resources[there].In, "instanceConfigurationId")), "displayName", "another"))
	l.isError(err, 500, "Out of host capacity.")
	l.RestoreDomain(lost.AD)
	l.eventually("it is back", func() bool { return l.instanceOf(there).State == running })
}

func TestAPulledVolumeIsGoneForItsInstance(t *testing.T) {
	l := newLab(t)
	i := l.instanceOf(l.pool(0))
	volume, _ := l.create(typeVolume, volumeArgs(0))
	_, err := l.attach(t.Context(), i.ID, volume, "", "", "")
	assert.NilError(t, err)
	instance, device, err := l.PullVolume(t.Context(), volume)
	assert.NilError(t, err)
	assert.Equal(t, instance, i.ID)
	assert.Equal(t, device, "/dev/oracleoci/oraclevdb")
	assert.Equal(t, l.m.tied[volume], "")
	assert.Equal(t, l.Snapshot().Volumes[0].Instance, "")
	instance, _, err = l.PullVolume(t.Context(), volume)
	assert.NilError(t, err)
	assert.Equal(t, instance, "", "nobody has it")

	l.isError(l.PushVolume(t.Context(), i.ID, volume, device), 409, "must be STOPPED")
	assert.NilError(t, l.StopInstance(t.Context(), i.ID))
	assert.NilError(t, l.PushVolume(t.Context(), i.ID, volume, device))
	assert.NilError(t, l.PushVolume(t.Context(), i.ID, volume, device), "once more")
	assert.NilError(t, l.StartInstance(t.Context(), i.ID))
	assert.Equal(t, l.m.tied[volume], i.ID)
}

func TestTroublesOfTheAPI(t *testing.T) {
	clock := &fakeClock{now: time.Unix(1700000000, 0)}
	l := openLab(t, t.TempDir(), newFake(), Options{Clock: clock})
	id, _ := l.create(typeVolume, volumeArgs(0))
	read := func() error { _, err := l.Read(context.Background(), typeVolume, id); return err }

	before := clock.Now()
	l.SetTroubles(3*time.Second, nil)
	assert.NilError(t, read())
	assert.Equal(t, clock.Now().Sub(before), 3*time.Second)

	l.SetTroubles(0, []APIFault{
		{Status: 429, Code: "TooManyRequests", Message: "slowly", Match: "GETvolume", Rate: 1, Until: clock.Now().Add(time.Minute)},
		{Status: 409, Code: "IncorrectState", Match: "oci bv volume", Rate: 1},
	})
	l.isError(read(), 429, "429-TooManyRequests, slowly")
	l.create(typeVolume, volumeArgs(1)) // not matched
	_, err := l.Invoke(t.Context(), getAvailabilityDomains, Props{"compartmentId": CompartmentID})
	assert.NilError(t, err)
	assert.NilError(t, clock.Sleep(t.Context(), time.Minute))
	assert.NilError(t, read(), "its time is over")

	i := l.instanceOf(l.pool(0))
	_, stderr, exit := l.CLI(t.Context(), i.ID, strings.Fields("bv volume list --auth instance_principal --compartment-id "+CompartmentID))
	assert.Equal(t, exit, 1)
	assert.Assert(t, strings.Contains(string(stderr), `"IncorrectState"`), "%s", stderr)

	l.SetTroubles(0, []APIFault{{Rate: 1}})
	before = clock.Now()
	assert.ErrorContains(t, read(), "Client.Timeout exceeded")
	assert.Equal(t, clock.Now().Sub(before), apiTimeout)
	_, stderr, exit = l.CLI(t.Context(), i.ID, strings.Fields("bv volume list --auth instance_principal --compartment-id "+CompartmentID))
	assert.Equal(t, exit, 1)
	assert.Assert(t, strings.HasPrefix(string(stderr), "RequestException:"), "%s", stderr)

	failed := 0
	l.SetTroubles(0, []APIFault{{Status: 500, Rate: 0.5}})
	for range 400 {
		if read() != nil {
			failed++
		}
	}
	assert.Assert(t, failed > 120 && failed < 280, "%d of 400", failed)
	l.SetTroubles(0, nil)
	assert.NilError(t, read())
}
