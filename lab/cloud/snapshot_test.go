package cloud

import (
	"testing"

	"gotest.tools/v3/assert"
)

func TestSnapshotIsInTheOrderOfNames(t *testing.T) {
	l := newLab(t)
	for _, i := range []int{10, 2, 0, 1} {
		l.create(typeVolume, volumeArgs(i))
		l.create(typePrivateIP, addressArgs(i))
		l.pool(i)
	}
	// A second one of a name: the older one comes first.
	l.pool(2)
	s := l.Snapshot()
	var instances, volumes, addresses []string
	for _, i := range s.Instances {
		instances = append(instances, i.Name)
	}
	for _, v := range s.Volumes {
		volumes = append(volumes, v.Name)
	}
	for _, a := range s.Addresses {
		addresses = append(addresses, a.Name)
	}
	assert.DeepEqual(t, instances, []string{"emqx-lab-0", "emqx-lab-1", "emqx-lab-2", "emqx-lab-2", "emqx-lab-10"})
	assert.Assert(t, s.Instances[2].Created.Before(s.Instances[3].Created))
	names := []string{"emqx-lab-0", "emqx-lab-1", "emqx-lab-2", "emqx-lab-10"}
	assert.DeepEqual(t, volumes, names)
	assert.DeepEqual(t, addresses, names)
}
