package guest

import (
	"slices"
	"testing"

	"gotest.tools/v3/assert"
)

// Nomad takes a tmpfs on /sys/fs/cgroup for version 1, whatever is mounted on it.
func TestATmpfsIsBelowCgroupsOfVersion1Only(t *testing.T) {
	for name, c := range map[string]struct {
		groups []Cgroup
		want   bool
	}{
		"version 1": {[]Cgroup{{Mount: "/sys/fs/cgroup/cpu", Type: "cgroup"}, {Mount: "/sys/fs/cgroup/memory", Type: "cgroup"}}, true},
		"hybrid":    {[]Cgroup{{Mount: "/sys/fs/cgroup/cpu", Type: "cgroup"}, {Mount: "/sys/fs/cgroup/unified", Type: "cgroup2"}}, true},
		"version 2": {[]Cgroup{{Mount: "/sys/fs/cgroup", Type: "cgroup2"}}, false},
	} {
		got := slices.ContainsFunc(kernelMounts(c.groups), func(m mount) bool { return m.target == cgroupRoot })
		assert.Equal(t, got, c.want, name)
	}
}
