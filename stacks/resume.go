package stacks

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/emqx-oci/emqx-oci/components/cluster"
)

// Resume says whether an update can follow a destroy that did not end, of a stack with
// count nodes that has the volumes of these left, by the nodes' names. It cannot when that has deleted some
// volumes and left others: a broker that starts with its old data waits for members
// whose data may be newer, and those are new ones that never knew it.
func Resume(stack string, count int, volumes []string) error {
	var there, gone []string
	for i := range count {
		if slices.Contains(volumes, cluster.NodeName(stack, i)) {
			there = append(there, strconv.Itoa(i))
		} else {
			gone = append(gone, strconv.Itoa(i))
		}
	}
	if len(there) == 0 || len(gone) == 0 {
		return nil
	}
	return fmt.Errorf("the destroy before this did not end: the volumes of nodes %s are there, those of nodes %s are gone, and EMQX with the data of "+
		"the first would wait for members that no longer exist; `emqx-oci destroy %s` finishes it, nothing was touched",
		strings.Join(there, ", "), strings.Join(gone, ", "), stack)
}
