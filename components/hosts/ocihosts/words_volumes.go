package ocihosts

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/emqx-oci/emqx-oci/components/blast"
	"github.com/emqx-oci/emqx-oci/components/blast/phrase"
	"github.com/emqx-oci/emqx-oci/components/oci/limits"
)

var wordsDomainPaths = map[string]string{
	"availabilityDomain": "availability domain", "placementConfigurations[0].availabilityDomain": "availability domain",
	"instanceConfigurationId": "",
}

// VolumeLines is part of blast.HostWords. Volumes that are lost stand alone, whatever else happens to their node; new
// ones belong to the node that comes with them.
func (words) VolumeLines(a *blast.Assessment) {
	w := &wordsHosts{Assessment: a}
	w.kept()
	replaced := w.Claim(blast.Of(wordsVolume, blast.Replace))
	w.lost(w.Claim(blast.Of(wordsVolume, blast.Delete)), "deleted", "")
	w.lost(replaced, phrase.Pick(len(replaced), "replaced by an empty one", "replaced by empty ones"),
		blast.Differences(replaced, wordsDomainPaths))
	for _, same := range blast.Alike(w.Claim(blast.Of(wordsVolume, blast.Update))) {
		w.resized(same)
	}
	w.restored()
	w.adopted()
	w.uselessly("restore", "only a new volume is made from a backup", w.Settings.Volumes.Restore, blast.Create, blast.Replace)
	w.uselessly("adopt", "the stack has that volume, or another one", w.Settings.Volumes.Adopt, blast.Import)
}

// kept are volumes that the stack lets go of, with their policies, while OCI keeps
// them.
func (w *wordsHosts) kept() {
	retained := func(typ, op string) []*blast.Change {
		return w.Claim(func(c *blast.Change) bool { return blast.Of(typ, op)(c) && c.Retained })
	}
	w.stay(retained(wordsVolume, blast.Delete), blast.Notice, "", "Before such a node comes again, name its volume in volumes.adopt, or delete it: "+
		"a boot script that finds two does not choose.")
	replaced := retained(wordsVolume, blast.Replace)
	then := "EMQX there takes from the other members what all of them hold."
	if len(replaced) >= w.Before {
		then = "No member begins with data: retained messages, users, API keys and bans are on the old volumes alone."
	}
	w.stay(replaced, blast.Interruption, ", "+phrase.Pick(len(replaced), "replaced by an empty one", "replaced by empty ones"), then)
	if policies := retained(wordsBackup, blast.Delete); len(policies) > 0 {
		w.Add(blast.Line{
			Severity: blast.None, Area: blast.AreaVolumes,
			Text: fmt.Sprintf("In OCI the backup policy stays with the %s of %s", phrase.Pick(len(policies), "volume", "volumes"), w.NodeList(policies)),
		}, policies)
	}
}

func (w *wordsHosts) stay(volumes []*blast.Change, severity blast.Severity, becomes, then string) {
	one := len(volumes) == 1
	if len(volumes) == 0 {
		return
	}
	l := blast.Line{
		Severity: severity, Area: blast.AreaVolumes,
		Text:  fmt.Sprintf("The %s of %s %s in OCI with the data%s", phrase.Pick(len(volumes), "volume", "volumes"), w.NodeList(volumes), phrase.Verb(one, "stay"), becomes+phrase.Bracket(blast.Differences(volumes, wordsDomainPaths))),
		Brief: fmt.Sprintf("%s %s in OCI%s (%s)", phrase.Count(len(volumes), "volume"), phrase.Verb(one, "stay"), becomes, w.NodeList(volumes)),
	}
	for _, c := range volumes {
		l.Details = append(l.Details, w.NodeList([]*blast.Change{c})+wordsVolumeSize(c)+": "+c.ID)
	}
	l.Details = append(l.Details, fmt.Sprintf("OCI charges for %s until somebody deletes %s.", phrase.Pick(len(volumes), "it", "them"), phrase.Pick(len(volumes), "it", "them")), then)
	w.Add(l, volumes)
}

// wordsVolumeSize is a volume's size in brackets, "" for one of an unknown size.
func wordsVolumeSize(c *blast.Change) string {
	if size, ok := blast.Number(c.Old["sizeInGbs"]); ok {
		return fmt.Sprintf(" (%g GB)", size)
	}
	return ""
}

// wordsBackupOf is the backup that a volume is made from, "" for an empty one.
func wordsBackupOf(c *blast.Change) string {
	details, _ := c.New["sourceDetails"].(map[string]any)
	id, _ := details["id"].(string)
	return id
}

// restored are new volumes that begin with what a backup holds.
func (w *wordsHosts) restored() {
	for _, c := range w.Claim(func(c *blast.Change) bool { return blast.Of(wordsVolume, blast.Create)(c) && wordsBackupOf(c) != "" }) {
		w.Add(blast.Line{
			Severity: blast.Notice, Area: blast.AreaVolumes,
			Text: fmt.Sprintf("The volume of %s is made from backup %s", w.NodeList([]*blast.Change{c}), wordsBackupOf(c)),
			Details: []string{
				"EMQX finds there what it had on that volume when the backup was taken. While other members run, " +
					"it takes from them what all of them hold.",
				"An instance that had the lost volume does not find the new one: terminate it, and its pool launches one that does.",
			},
			Brief: fmt.Sprintf("a volume from a backup (%s)", w.NodeList([]*blast.Change{c})),
		}, []*blast.Change{c})
	}
}

// adopted are volumes that exist, and come into the stack.
func (w *wordsHosts) adopted() {
	taken := w.Claim(blast.Of(wordsVolume, blast.Import))
	if len(taken) == 0 {
		return
	}
	w.Add(blast.Line{
		Severity: blast.Notice, Area: blast.AreaVolumes,
		Text: fmt.Sprintf("The %s of %s %s taken over with what is on %s", phrase.Pick(len(taken), "volume", "volumes"), w.NodeList(taken), phrase.Pick(len(taken), "is", "are"), phrase.Pick(len(taken), "it", "them")),
		Details: []string{"Size, VPUs per GB, name and tags become what the settings say; one that is larger, or in another availability domain, is refused. " +
			"It stays in OCI as long as volumes.adopt names it."},
	}, taken)
}

// uselessly names entries of a setting that change nothing in this plan.
func (w *wordsHosts) uselessly(setting, because string, byNode map[string]string, useful ...string) {
	for _, key := range slices.Sorted(maps.Keys(byNode)) {
		if w.Has(func(c *blast.Change) bool {
			return blast.Of(wordsVolume, useful...)(c) && fmt.Sprint(w.NodeOf(c)) == key
		}) {
			continue
		}
		w.Add(blast.Line{Severity: blast.None, Area: blast.AreaVolumes, Text: fmt.Sprintf("volumes.%s.%s has no effect: %s", setting, key, because)})
	}
}

func (w *wordsHosts) lost(volumes []*blast.Change, how, why string) {
	if len(volumes) == 0 {
		return
	}
	names, sized := make([]string, len(volumes)), make([]string, len(volumes))
	for i, c := range volumes {
		names[i] = c.Name
		if n := w.NodeOf(c); n >= 0 {
			names[i] = w.NodeName(n)
		}
		sized[i] = names[i] + wordsVolumeSize(c)
	}
	lost := append(w.Nodes.VolumeLost, names...)
	w.Nodes.VolumeLost = lost
	var details []string
	if why != "" {
		details = append(details, phrase.Capital(why)+": a volume cannot move.")
	}
	if len(lost) >= w.Before && w.Before > 0 {
		details = append(details, "No member keeps a copy: retained messages, users, API keys and bans of the whole cluster are gone.")
	} else {
		details = append(details, "Retained messages, users, API keys and bans the other members hold as well; "+
			"all else on "+phrase.Pick(len(names), "this volume", "these volumes")+" is gone.")
	}
	if w.Settings.Volumes.Protect {
		details = append(details, "volumes.protect is set: Pulumi refuses this.")
	}
	w.Add(blast.Line{
		Severity: blast.DataLoss, Area: blast.AreaVolumes,
		Text: fmt.Sprintf("DATA LOSS: the %s of %s %s %s",
			phrase.Pick(len(names), "volume", "volumes"), strings.Join(sized, ", "), phrase.Pick(len(names), "is", "are"), how),
		Details: details,
		Brief:   fmt.Sprintf("%s %s (%s)", phrase.Count(len(names), "volume"), how, phrase.List(names)),
	}, volumes)
}

// resized are volumes that stay, and all change in the same way.
func (w *wordsHosts) resized(volumes []*blast.Change) {
	l := blast.Line{Severity: blast.None, Area: blast.AreaVolumes}
	one := len(volumes) == 1
	var did []string
	for i := range volumes[0].Diffs {
		d := &volumes[0].Diffs[i]
		from, _ := blast.Number(d.Old)
		to, _ := blast.Number(d.New)
		switch {
		case d.Path == "sizeInGbs" && to < from:
			l.Severity = blast.Interruption
			did = append(did, fmt.Sprintf("%s from %g to %g GB", phrase.Verb(one, "shrink"), from, to))
			l.Details = append(l.Details, "OCI cannot shrink a volume: it refuses this, and the update fails here.")
			l.Brief = "a volume that cannot shrink"
		case d.Path == "sizeInGbs":
			l.Severity = blast.Worse(l.Severity, blast.Notice)
			did = append(did, fmt.Sprintf("%s in place from %g to %g GB", phrase.Verb(one, "grow"), from, to))
			l.Details = append(l.Details, "OCI grows a volume while it is in use, and nothing restarts. "+
				"The file system follows at the node's next boot; until then EMQX sees the old size.")
		case d.Path == "vpusPerGb":
			l.Severity = blast.Worse(l.Severity, blast.Notice)
			did = append(did, fmt.Sprintf("%s from %s to %s VPUs per GB", phrase.Verb(one, "go"), blast.Value(d.Old), blast.Value(d.New)))
			l.Details = append(l.Details, "OCI changes a volume's performance while it is in use, and nothing restarts.")
		case limits.IsLabel(d.Path):
			did = phrase.AddNew(did, phrase.Verb(one, "get")+" other names or tags")
		case d.Path == "compartmentId":
			l.Severity = blast.Worse(l.Severity, blast.Notice)
			did = append(did, phrase.Verb(one, "move")+" to another compartment")
			l.Details = append(l.Details, "A boot script looks for its volume in the instance's own compartment.")
		default:
			l.Severity = blast.Worse(l.Severity, blast.Notice)
			did = append(did, phrase.Verb(one, "get")+" "+d.Words(d.Path))
		}
	}
	if len(did) == 0 {
		did = []string{phrase.Pick(len(volumes), "is", "are") + " updated"}
	}
	l.Text = fmt.Sprintf("The %s of %s %s", phrase.Pick(len(volumes), "volume", "volumes"), w.NodeList(volumes), strings.Join(did, ", "))
	w.Add(l, volumes)
}

// backups are the policies of volumes whose nodes stay.
func (w *wordsHosts) backups() {
	for _, op := range []string{blast.Create, blast.Update, blast.Replace, blast.Delete} {
		changes := w.Claim(blast.Of(wordsBackup, op))
		if len(changes) == 0 {
			continue
		}
		text := "The volumes of %s get another backup policy"
		switch op {
		case blast.Create:
			text = "The volumes of %s get a backup policy"
		case blast.Delete:
			text = "The volumes of %s are no longer backed up"
		}
		w.Add(blast.Line{Severity: blast.Notice, Area: blast.AreaVolumes, Text: fmt.Sprintf(text, w.NodeList(changes))}, changes)
	}
}
