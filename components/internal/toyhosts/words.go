package toyhosts

import (
	"strconv"
	"strings"

	"github.com/emqx-oci/emqx-oci/components/blast"
)

// Words speak of hosts with disks.
func (Hosts) Words() blast.HostWords { return words{} }

// words speak of machines, each with a disk that is wiped when its machine goes.
type words struct{}

func (words) NodeOf(c *blast.Change) int {
	kind, index, _ := strings.Cut(c.Part(), "-")
	n, err := strconv.Atoi(index)
	if err != nil || kind != "hosts" && kind != "disks" {
		return -1
	}
	return n
}

func (words) IsNode(c *blast.Change) bool { return c.ShortType() == "toy:Host" }

func (words) Inventory(changes []*blast.Change) []string {
	var have []string
	for _, c := range changes {
		have = append(have, map[string][]string{"toy:Host": {"a host"}, "toy:Disk": {"a disk"}}[c.ShortType()]...)
	}
	return have
}

func (words) Opens(*blast.Change) string { return "" }

func (words) Cosmetic(path string) bool { return path == "sticker" }

func (words) VolumeLines(a *blast.Assessment) {
	for _, c := range a.Claim(blast.Of("toy:Disk", blast.Delete)) {
		disk := []*blast.Change{c}
		a.Nodes.VolumeLost = append(a.Nodes.VolumeLost, a.NodeNames(a.NodesOf(disk))...)
		a.Add(blast.Line{
			Severity: blast.DataLoss, Area: blast.AreaVolumes, Text: "The disk of " + a.NodeList(disk) + " is wiped", Brief: "1 disk wiped",
		}, disk)
	}
}

func (words) HostLines(a *blast.Assessment) {
	if same := a.Claim(blast.Of("toy:Host", blast.Update)); len(same) > 0 && a.OnlyCosmetic(same) {
		a.Add(blast.Line{Severity: blast.None, Area: "hosts", Text: "Another sticker for " + a.NodeList(same)}, same)
	}
	if len(a.Nodes.Added) > 0 {
		a.Takes(blast.Making, blast.Part{What: "hosts to boot", Seconds: a.Latency(300)})
	}
	if len(a.Nodes.Removed) > 0 {
		a.Takes(blast.Ending, blast.Part{What: "hosts to halt", Seconds: a.Latency(30)})
	}
}

func (words) AccessLines(*blast.Assessment) {}
