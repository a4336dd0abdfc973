package ocihosts

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"

	"github.com/emqx-oci/emqx-oci/components/blast"
	"github.com/emqx-oci/emqx-oci/components/oci/limits"
)

// The types of what hosts are made of, as [blast.Change.ShortType] has them.
const (
	wordsVolume  = "oci:Volume"
	wordsBackup  = "oci:VolumeBackupPolicyAssignment"
	wordsAddress = "oci:PrivateIp"
	wordsConfig  = "oci:InstanceConfiguration"
	wordsPool    = "oci:InstancePool"
	wordsGroup   = "oci:NetworkSecurityGroup"
	wordsRule    = "oci:NetworkSecurityGroupSecurityRule"
)

// words speak of instance pools, their volumes and addresses, and of security groups.
type words struct{}

// Words are those for the changes of OCI's hosts in a plan.
func (Hosts) Words() blast.HostWords { return words{} }

// wordsNodeIndexed are the names that end with a node's index, or hold it before "-config" and "-backup".
var wordsNodeIndexed = regexp.MustCompile(`^(?:volumes|addresses|pools)-(\d+)(?:-config|-backup)?$`)

// NodeOf is part of blast.HostWords.
func (words) NodeOf(c *blast.Change) int {
	found := wordsNodeIndexed.FindStringSubmatch(c.Part())
	if found == nil {
		return -1
	}
	n, err := strconv.Atoi(found[1])
	if err != nil {
		return -1
	}
	return n
}

// IsNode is part of blast.HostWords: each node has a pool.
func (words) IsNode(c *blast.Change) bool { return c.ShortType() == wordsPool }

// Cosmetic is part of blast.HostWords.
func (words) Cosmetic(path string) bool { return limits.IsLabel(path) }

// Inventory is part of blast.HostWords.
func (words) Inventory(changes []*blast.Change) []string {
	var have []string
	for _, own := range []struct{ typ, word string }{
		{wordsVolume, "a volume"},
		{wordsBackup, "its backup policy"},
		{wordsAddress, "a reserved address"},
		{wordsPool, "an instance pool"},
		{wordsConfig, "its configuration"},
	} {
		i := slices.IndexFunc(changes, func(c *blast.Change) bool { return c.ShortType() == own.typ })
		if i < 0 {
			continue
		}
		state := changes[i].New
		if state == nil {
			state = changes[i].Old
		}
		if size, ok := blast.Number(state["sizeInGbs"]); ok && own.typ == wordsVolume {
			own.word = fmt.Sprintf("a volume of %g GB", size)
		}
		have = append(have, own.word)
	}
	return have
}

// wordsHosts is what the words have found in one plan.
type wordsHosts struct {
	*blast.Assessment
	// turns are the instances that are relaunched one after another.
	turns int
}

// HostLines is part of blast.HostWords.
func (words) HostLines(a *blast.Assessment) {
	w := &wordsHosts{Assessment: a}
	w.backups()
	w.relaunched()
	w.instances()
	w.addresses()
	w.takes()
}
