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
		"nothing is left":        {nil, ""},
		"all volumes are left":   {[]string{"emqx-lab-0", "emqx-lab-1", "emqx-lab-2"}, ""},
		"one volume is left":     {[]string{"emqx-lab-1"}, "the volumes of nodes 1 are there, those of nodes 0, 2 are gone"},
		"that of the first node": {[]string{"emqx-lab-0"}, "the volumes of nodes 0 are there, those of nodes 1, 2 are gone"},
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
