package stacks

import (
	"testing"

	"gotest.tools/v3/assert"
)

func TestAnUpdateAfterADestroyThatDidNotEnd(t *testing.T) {
	for name, c := range map[string]struct {
		left   []string
		refuse string
	}{
		"nothing is left":        {[]string{"cluster-groups-nodes", "cluster-addresses-0"}, ""},
		"all volumes are left":   {[]string{"cluster-volumes-0", "cluster-volumes-1", "cluster-volumes-2", "cluster-pools-1"}, ""},
		"one volume is left":     {[]string{"cluster-volumes-1", "cluster-addresses-1"}, "the volumes of nodes 1 are there, those of nodes 0, 2 are gone"},
		"that of the first node": {[]string{"cluster-volumes-0"}, "the volumes of nodes 0 are there, those of nodes 1, 2 are gone"},
	} {
		t.Run(name, func(t *testing.T) {
			err := Resume("lab", 3, c.left)
			if c.refuse == "" {
				assert.NilError(t, err)
				return
			}
			assert.ErrorContains(t, err, c.refuse)
			assert.ErrorContains(t, err, "`emqx-oci destroy lab` finishes it")
		})
	}
}
