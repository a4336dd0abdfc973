package ocihosts

import (
	"fmt"
	"slices"
	"strings"

	"github.com/emqx-oci/emqx-oci/components/blast"
	"github.com/emqx-oci/emqx-oci/components/blast/phrase"
	"github.com/emqx-oci/emqx-oci/components/oci/limits"
)

// relaunched are nodes whose instance ends for another one: their pool is replaced,
// by this program one after another, or leaves the availability domain that the
// instance is in.
func (w *wordsHosts) relaunched() {
	moved := w.Claim(func(c *blast.Change) bool {
		return blast.Of(wordsPool, blast.Update)(c) && slices.ContainsFunc(c.Diffs, func(d blast.Diff) bool {
			return strings.HasPrefix(d.Path, "placementConfigurations") && strings.HasSuffix(d.Path, "availabilityDomain")
		})
	})
	if len(moved) > 0 {
		names := w.NodeNames(w.NodesOf(moved))
		w.Nodes.Relaunched = append(w.Nodes.Relaunched, names...)
		details := []string{
			"OCI ends the instance in the old availability domain, and launches another in the new one" + phrase.Bracket(blast.Differences(moved, wordsDomainPaths)) + ".",
			fmt.Sprintf("Its end is sudden: about %s reconnect, and the sessions in its memory are lost.", w.Share(len(names))),
		}
		if len(names) > 1 {
			details = append(details, "Nothing makes these nodes wait for each other: they may all be away at the same time.")
		}
		w.Add(blast.Line{
			Severity: blast.Interruption, Area: blast.AreaInstances,
			Text:    fmt.Sprintf("%s relaunched: %s", phrase.Count(len(names), "node"), phrase.List(names)),
			Details: details,
		}, moved)
	}
	if replaced := w.Claim(blast.Of(wordsPool, blast.Replace)); len(replaced) > 0 {
		w.inTurn(replaced)
	}
}

// inTurn are instances that the program itself relaunches. Their configurations
// belong to them.
func (w *wordsHosts) inTurn(pools []*blast.Change) {
	nodes := w.NodesOf(pools)
	configs := w.Claim(func(c *blast.Change) bool {
		return c.ShortType() == wordsConfig && slices.Contains(nodes, w.NodeOf(c)) && c.Op != blast.Create && c.Op != blast.Delete
	})
	names := w.NodeNames(nodes)
	w.Nodes.Relaunched = append(w.Nodes.Relaunched, names...)
	w.turns = len(names)
	text := fmt.Sprintf("%s relaunched: %s", phrase.Count(len(names), "node"), phrase.List(names))
	if len(names) > 1 {
		text = fmt.Sprintf("%s relaunched, one after another: %s", phrase.Count(len(names), "node"), phrase.List(names))
	}
	away := blast.Estimate{Seconds: w.away()}.About()
	w.Add(blast.Line{
		Severity: blast.Interruption, Area: blast.AreaInstances, Text: text + phrase.Bracket(strings.Join(wordsLaunchChanges(configs), ", ")),
		Details: []string{
			fmt.Sprintf("%s is drained first: its clients are moved to the others, %s at a time. Then its instance ends, and another one with the same "+
				"volume, address and name takes its place. It is away for %s.", phrase.Pick(len(names), "It", "Each"), w.Share(1), away),
			phrase.Pick(len(names), "It begins", "The next one begins") + " only when the cluster is whole (gates G1 to G4). The data stay: no volume is touched.",
		},
	}, pools, configs)
}

// instances are the pools and configurations of nodes that stay.
func (w *wordsHosts) instances() {
	configs := w.Claim(func(c *blast.Change) bool {
		return c.ShortType() == wordsConfig && w.NodeOf(c) >= 0 && c.Op != blast.Create && c.Op != blast.Delete
	})
	// A pool that only takes the new configuration.
	pools := w.Claim(func(c *blast.Change) bool {
		return c.ShortType() == wordsPool && c.Op == blast.Update && slices.ContainsFunc(c.Diffs, func(d blast.Diff) bool { return d.Path == "instanceConfigurationId" })
	})
	if len(configs)+len(pools) > 0 {
		w.reconfigured(configs, pools)
	}
	for _, same := range blast.Alike(w.Claim(blast.Of(wordsPool, blast.Update))) {
		l := blast.Line{Severity: blast.Notice, Area: blast.AreaInstances, Text: "The instance pools of " + w.NodeList(same) + " change" + phrase.Bracket(blast.Differences(same, nil))}
		if w.OnlyCosmetic(same) {
			l.Severity = blast.None
			l.Details = []string{"Names and tags: nothing is touched."}
		}
		w.Add(l, same)
	}
}

// wordsLaunchPaths are the parts of an instance configuration that people know.
var wordsLaunchPaths = map[string]string{
	"shape": "shape", "shapeConfig.ocpus": "OCPUs", "shapeConfig.memoryInGbs": "memory in GB",
	"sourceDetails.imageId": "image", "sourceDetails.bootVolumeSizeInGbs": "boot volume in GB",
	"sourceDetails.bootVolumeVpusPerGb": "boot volume VPUs per GB",
	"createVnicDetails.subnetId":        "subnet", "metadata.user_data": "boot script", "metadata.ssh_authorized_keys": "SSH key",
}

// wordsLaunchChanges say what becomes different of instances.
func wordsLaunchChanges(configs []*blast.Change) []string {
	var what []string
	for _, c := range configs {
		for i := range c.Diffs {
			d := &c.Diffs[i]
			path := strings.TrimPrefix(d.Path, "instanceDetails.launchDetails.")
			name, known := wordsLaunchPaths[path]
			switch {
			case limits.IsLabel(path):
				what = phrase.AddNew(what, "names or tags")
			case !known:
				what = phrase.AddNew(what, path)
			case name == "boot script" || name == "SSH key":
				what = phrase.AddNew(what, "another "+name)
			default:
				what = phrase.AddNew(what, d.Words(name))
			}
		}
	}
	return what
}

// reconfigured: OCI never touches an instance because its configuration changes.
func (w *wordsHosts) reconfigured(configs, pools []*blast.Change) {
	w.Add(blast.Line{
		Severity: blast.Notice, Area: blast.AreaInstances,
		Text: "New instance configuration for " + w.NodeList(slices.Concat(configs, pools)) + phrase.Bracket(strings.Join(wordsLaunchChanges(configs), ", ")) +
			": instances that run are not touched",
		Details: []string{
			"It holds from the next launch of each instance. To bring it in, terminate one instance at a time (console, or " +
				"`oci compute instance terminate --instance-id <OCID>`); its pool launches the new kind. Run `emqx-oci up " +
				w.Settings.Environment + "` before the next one: it ends when the node is back.",
		},
	}, configs, pools)
}
