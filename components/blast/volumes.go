package blast

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

var domainWords = map[string]string{
	"availabilityDomain": "availability domain", "placementConfigurations[0].availabilityDomain": "availability domain",
	"instanceConfigurationId": "",
}

// volumes that are lost stand alone, whatever else happens to their node; new
// ones belong to the node that comes with them.
func (a *assessment) volumes() {
	a.kept()
	replaced := a.claim(of(typeVolume, opReplace))
	a.lost(a.claim(of(typeVolume, opDelete)), "deleted", "")
	a.lost(replaced, pick(len(replaced), "replaced by an empty one", "replaced by empty ones"),
		differences(replaced, domainWords))
	for _, same := range alike(a.claim(of(typeVolume, opUpdate))) {
		a.resized(same)
	}
	a.restored()
	a.adopted()
	a.uselessly("restore", "only a new volume is made from a backup", a.s.Volumes.Restore, opCreate, opReplace)
	a.uselessly("adopt", "the stack has that volume, or another one", a.s.Volumes.Adopt, opImport)
}

// kept are volumes that the stack lets go of, with their policies, while OCI keeps
// them.
func (a *assessment) kept() {
	retained := func(typ, op string) []*Change {
		return a.claim(func(c *Change) bool { return of(typ, op)(c) && c.Retained })
	}
	a.stay(retained(typeVolume, opDelete), Notice, "", "Before such a node comes again, name its volume in volumes.adopt, or delete it: "+
		"a boot script that finds two does not choose.")
	replaced := retained(typeVolume, opReplace)
	then := "EMQX there takes from the other members what all of them hold."
	if len(replaced) >= a.before {
		then = "No member begins with data: retained messages, users, API keys and bans are on the old volumes alone."
	}
	a.stay(replaced, Interruption, ", "+pick(len(replaced), "replaced by an empty one", "replaced by empty ones"), then)
	a.waits.volumes = a.waits.volumes || len(replaced) > 0
	if policies := retained(typeBackup, opDelete); len(policies) > 0 {
		a.add(Line{
			Severity: None, Area: "volumes",
			Text: fmt.Sprintf("In OCI the backup policy stays with the %s of %s", pick(len(policies), "volume", "volumes"), a.nodeList(policies)),
		}, policies)
	}
}

func (a *assessment) stay(volumes []*Change, severity Severity, becomes, then string) {
	one := len(volumes) == 1
	if len(volumes) == 0 {
		return
	}
	l := Line{
		Severity: severity, Area: "volumes",
		Text:  fmt.Sprintf("The %s of %s %s in OCI with the data%s", pick(len(volumes), "volume", "volumes"), a.nodeList(volumes), verb(one, "stay"), becomes+bracket(differences(volumes, domainWords))),
		brief: fmt.Sprintf("%s %s in OCI%s (%s)", count(len(volumes), "volume"), verb(one, "stay"), becomes, a.nodeList(volumes)),
	}
	for _, c := range volumes {
		l.Details = append(l.Details, a.nodeList([]*Change{c})+volumeSize(c)+": "+c.ID)
	}
	l.Details = append(l.Details, fmt.Sprintf("OCI charges for %s until somebody deletes %s.", pick(len(volumes), "it", "them"), pick(len(volumes), "it", "them")), then)
	a.add(l, volumes)
}

// volumeSize is a volume's size in brackets, "" for one of an unknown size.
func volumeSize(c *Change) string {
	if size, ok := number(c.Old["sizeInGbs"]); ok {
		return fmt.Sprintf(" (%g GB)", size)
	}
	return ""
}

// backupOf is the backup that a volume is made from, "" for an empty one.
func (c *Change) backupOf() string {
	details, _ := c.New["sourceDetails"].(map[string]any)
	id, _ := details["id"].(string)
	return id
}

// restored are new volumes that begin with what a backup holds.
func (a *assessment) restored() {
	for _, c := range a.claim(func(c *Change) bool { return of(typeVolume, opCreate)(c) && c.backupOf() != "" }) {
		a.waits.volumes = true
		a.add(Line{
			Severity: Notice, Area: "volumes",
			Text: fmt.Sprintf("The volume of %s is made from backup %s", a.nodeList([]*Change{c}), c.backupOf()),
			Details: []string{
				"EMQX finds there what it had on that volume when the backup was taken. While other members run, " +
					"it takes from them what all of them hold.",
				"An instance that had the lost volume does not find the new one: terminate it, and its pool launches one that does.",
			},
			brief: fmt.Sprintf("a volume from a backup (%s)", a.nodeList([]*Change{c})),
		}, []*Change{c})
	}
}

// adopted are volumes that exist, and come into the stack.
func (a *assessment) adopted() {
	taken := a.claim(of(typeVolume, opImport))
	if len(taken) == 0 {
		return
	}
	a.add(Line{
		Severity: Notice, Area: "volumes",
		Text: fmt.Sprintf("The %s of %s %s taken over with what is on %s", pick(len(taken), "volume", "volumes"), a.nodeList(taken), pick(len(taken), "is", "are"), pick(len(taken), "it", "them")),
		Details: []string{"Size, VPUs per GB, name and tags become what the settings say; one that is larger, or in another availability domain, is refused. " +
			"It stays in OCI as long as volumes.adopt names it."},
	}, taken)
}

// uselessly names entries of a setting that change nothing in this plan.
func (a *assessment) uselessly(setting, because string, byNode map[string]string, useful ...string) {
	for _, key := range slices.Sorted(maps.Keys(byNode)) {
		if a.has(func(c *Change) bool { return of(typeVolume, useful...)(c) && fmt.Sprint(c.node()) == key }) {
			continue
		}
		a.add(Line{Severity: None, Area: "volumes", Text: fmt.Sprintf("volumes.%s.%s has no effect: %s", setting, key, because)})
	}
}

func (a *assessment) lost(volumes []*Change, how, why string) {
	if len(volumes) == 0 {
		return
	}
	names, sized := make([]string, len(volumes)), make([]string, len(volumes))
	for i, c := range volumes {
		names[i] = c.Name
		if n := c.node(); n >= 0 {
			names[i] = a.nodeName(n)
		}
		sized[i] = names[i] + volumeSize(c)
	}
	lost := append(a.report.Nodes.VolumeLost, names...)
	a.report.Nodes.VolumeLost = lost
	var details []string
	if why != "" {
		details = append(details, capital(why)+": a volume cannot move.")
	}
	if len(lost) >= a.before && a.before > 0 {
		details = append(details, "No member keeps a copy: retained messages, users, API keys and bans of the whole cluster are gone.")
	} else {
		details = append(details, "Retained messages, users, API keys and bans the other members hold as well; "+
			"all else on "+pick(len(names), "this volume", "these volumes")+" is gone.")
	}
	if a.s.Volumes.Protect {
		details = append(details, "volumes.protect is set: Pulumi refuses this.")
	}
	a.waits.volumes = true
	a.add(Line{
		Severity: DataLoss, Area: "volumes",
		Text: fmt.Sprintf("DATA LOSS: the %s of %s %s %s",
			pick(len(names), "volume", "volumes"), strings.Join(sized, ", "), pick(len(names), "is", "are"), how),
		Details: details,
		brief:   fmt.Sprintf("%s %s (%s)", count(len(names), "volume"), how, list(names)),
	}, volumes)
}

// resized are volumes that stay, and all change in the same way.
func (a *assessment) resized(volumes []*Change) {
	l := Line{Severity: None, Area: "volumes"}
	one := len(volumes) == 1
	var did []string
	for i := range volumes[0].Diffs {
		d := &volumes[0].Diffs[i]
		from, _ := number(d.Old)
		to, _ := number(d.New)
		switch {
		case d.Path == "sizeInGbs" && to < from:
			l.Severity = Interruption
			did = append(did, fmt.Sprintf("%s from %g to %g GB", verb(one, "shrink"), from, to))
			l.Details = append(l.Details, "OCI cannot shrink a volume: it refuses this, and the update fails here.")
			l.brief = "a volume that cannot shrink"
		case d.Path == "sizeInGbs":
			l.Severity = maxOf(l.Severity, Notice)
			did = append(did, fmt.Sprintf("%s in place from %g to %g GB", verb(one, "grow"), from, to))
			l.Details = append(l.Details, "OCI grows a volume while it is in use, and nothing restarts. "+
				"The file system follows at the node's next boot; until then EMQX sees the old size.")
		case d.Path == "vpusPerGb":
			l.Severity = maxOf(l.Severity, Notice)
			did = append(did, fmt.Sprintf("%s from %s to %s VPUs per GB", verb(one, "go"), value(d.Old), value(d.New)))
			l.Details = append(l.Details, "OCI changes a volume's performance while it is in use, and nothing restarts.")
		case cosmetic(d.Path):
			did = appendNew(did, verb(one, "get")+" other names or tags")
		case d.Path == "compartmentId":
			l.Severity = maxOf(l.Severity, Notice)
			did = append(did, verb(one, "move")+" to another compartment")
			l.Details = append(l.Details, "A boot script looks for its volume in the instance's own compartment.")
		default:
			l.Severity = maxOf(l.Severity, Notice)
			did = append(did, verb(one, "get")+" "+d.words(d.Path))
		}
	}
	if len(did) == 0 {
		did = []string{pick(len(volumes), "is", "are") + " updated"}
	}
	a.waits.volumes = true
	l.Text = fmt.Sprintf("The %s of %s %s", pick(len(volumes), "volume", "volumes"), a.nodeList(volumes), strings.Join(did, ", "))
	a.add(l, volumes)
}

// backups are the policies of volumes whose nodes stay.
func (a *assessment) backups() {
	for _, op := range []string{opCreate, opUpdate, opReplace, opDelete} {
		changes := a.claim(of(typeBackup, op))
		if len(changes) == 0 {
			continue
		}
		text := "The volumes of %s get another backup policy"
		switch op {
		case opCreate:
			text = "The volumes of %s get a backup policy"
		case opDelete:
			text = "The volumes of %s are no longer backed up"
		}
		a.add(Line{Severity: Notice, Area: "volumes", Text: fmt.Sprintf(text, a.nodeList(changes))}, changes)
	}
}
