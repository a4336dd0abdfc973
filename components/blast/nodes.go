package blast

import (
	"fmt"
	"slices"
	"strings"
)

// comingNodes are the nodes that get an instance pool, with everything that
// comes for them.
func (a *assessment) comingNodes() {
	pools := indexes(a.planned(of(typePool, opCreate)))
	if len(pools) == 0 {
		return
	}
	belongs := a.claim(func(c *Change) bool { return c.Op == opCreate && c.node() >= 0 && slices.Contains(pools, c.node()) })
	names := a.nodeNames(pools)
	a.report.Nodes.Added = names
	sets := a.claimSets(opCreate, pools)
	l := Line{Severity: None, Area: "nodes", Text: fmt.Sprintf("%s added: %s", count(len(names), "node"), list(names))}
	l.Details = append(l.Details, a.belongings(opCreate, pools, belongs, pick(len(names), "With", "Each with")))
	if a.before > 0 {
		l.Details = append(l.Details, pick(len(names), "It joins", "They join")+" the running cluster. Connections stay where they are: only clients that connect from then on come to "+pick(len(names), "it.", "them."))
	}
	a.add(l, belongs, sets)
}

// belongings lists what comes or goes with nodes, once for all of them when they
// are alike.
func (a *assessment) belongings(op string, nodes []int, changes []*Change, opening string) string {
	per := map[int]string{}
	for _, n := range nodes {
		var mine []*Change
		for _, c := range changes {
			if c.node() == n {
				mine = append(mine, c)
			}
		}
		per[n] = inventory(mine, a.protocolsOf(op, n))
	}
	same := true
	for _, n := range nodes {
		same = same && per[n] == per[nodes[0]]
	}
	if same {
		return opening + " " + per[nodes[0]] + "."
	}
	var parts []string
	for _, n := range nodes {
		parts = append(parts, a.nodeName(n)+" with "+per[n])
	}
	return strings.Join(parts, "; ") + "."
}

// inventory is what one node brings: what is its own, and its backends in sets.
func inventory(changes []*Change, sets []string) string {
	var words []string
	for _, typ := range []string{typeVolume, typeBackup, typeAddress, typePool, typeConfig, typeMember} {
		i := slices.IndexFunc(changes, func(c *Change) bool { return short(c.Type) == typ })
		if i < 0 {
			continue
		}
		word := map[string]string{
			typeVolume: "a volume", typeBackup: "its backup policy", typeAddress: "a reserved address", typePool: "an instance pool",
			typeConfig: "its configuration", typeMember: "an entry in the list of members",
		}[typ]
		state := changes[i].New
		if state == nil {
			state = changes[i].Old
		}
		if size, ok := number(state["sizeInGbs"]); ok && typ == typeVolume {
			word = fmt.Sprintf("a volume of %g GB", size)
		}
		words = append(words, word)
	}
	if len(sets) > 0 {
		words = append(words, fmt.Sprintf("%s of the balancer (%s)", count(len(sets), "backend"), strings.Join(sets, ", ")))
	}
	if len(words) == 0 {
		return "nothing else"
	}
	return joinAnd(words)
}

// joinAnd puts commas between words, and "and" before the last.
func joinAnd(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}

// goingNodes are the nodes whose pool goes.
func (a *assessment) goingNodes() {
	pools := indexes(a.planned(of(typePool, opDelete)))
	if len(pools) == 0 {
		return
	}
	belongs := a.claim(func(c *Change) bool { return c.Op == opDelete && c.node() >= 0 && slices.Contains(pools, c.node()) })
	sets := a.claimSets(opDelete, pools)
	names := a.nodeNames(pools)
	a.report.Nodes.Removed = names
	l := Line{
		Severity: Interruption, Area: "nodes",
		Text:    fmt.Sprintf("%s removed: %s", count(len(names), "node"), list(names)),
		Details: []string{a.belongings(opDelete, pools, belongs, pick(len(names), "What goes with it:", "What goes with each:"))},
	}
	if a.after > 0 {
		l.Details = append(l.Details,
			fmt.Sprintf("EMQX stops there first%s: about %s of the clients reconnect to the others. %s", pick(len(names), "", ", on all at once"), fraction(len(names), max(a.before, 1)), a.sessions()),
			pick(len(names), "It leaves", "Each leaves")+" EMQX's cluster by itself as it stops; of one that is dead already the runbook says what to do.")
	} else {
		l.Details = append(l.Details, "Nobody is served any more.")
	}
	a.add(l, belongs, sets)
}

// planned are changes that fit, whoever claims them.
func (a *assessment) planned(fits func(*Change) bool) []*Change {
	var got []*Change
	for i := range a.changes {
		if fits(&a.changes[i]) {
			got = append(got, &a.changes[i])
		}
	}
	return got
}

// instances are the pools and configurations of nodes that stay.
func (a *assessment) instances() {
	a.relaunched()
	configs := a.claim(func(c *Change) bool {
		return short(c.Type) == typeConfig && c.node() >= 0 && c.Op != opCreate && c.Op != opDelete
	})
	// A pool that only takes the new configuration.
	pools := a.claim(func(c *Change) bool {
		return short(c.Type) == typePool && c.Op == opUpdate && slices.ContainsFunc(c.Diffs, func(d Diff) bool { return d.Path == "instanceConfigurationId" })
	})
	if len(configs)+len(pools) > 0 {
		a.reconfigured(configs, pools)
	}
	for _, same := range alike(a.claim(of(typePool, opUpdate))) {
		l := Line{Severity: Notice, Area: "instances", Text: "The instance pools of " + a.nodeList(same) + " change" + bracket(differences(same, nil))}
		if onlyCosmetic(same) {
			l.Severity = None
			l.Details = []string{"Names and tags: nothing is touched."}
		}
		a.add(l, same)
	}
}

func onlyCosmetic(changes []*Change) bool {
	for _, c := range changes {
		for _, d := range c.Diffs {
			if !cosmetic(d.Path) {
				return false
			}
		}
	}
	return true
}

// relaunched are nodes whose instance ends for another one: their pool is replaced,
// by this program one after another, or leaves the availability domain that the
// instance is in.
func (a *assessment) relaunched() {
	moved := a.claim(func(c *Change) bool {
		return of(typePool, opUpdate)(c) && slices.ContainsFunc(c.Diffs, func(d Diff) bool {
			return strings.HasPrefix(d.Path, "placementConfigurations") && strings.HasSuffix(d.Path, "availabilityDomain")
		})
	})
	if len(moved) > 0 {
		names := a.nodeNames(indexes(moved))
		a.report.Nodes.Relaunched = append(a.report.Nodes.Relaunched, names...)
		details := []string{
			"OCI ends the instance in the old availability domain, and launches another in the new one" + bracket(differences(moved, domainWords)) + ".",
			fmt.Sprintf("Its end is sudden: about %s reconnect, and the sessions in its memory are lost.", a.share(len(names))),
		}
		if len(names) > 1 {
			details = append(details, "Nothing makes these nodes wait for each other: they may all be away at the same time.")
		}
		a.add(Line{
			Severity: Interruption, Area: "instances",
			Text:    fmt.Sprintf("%s relaunched: %s", count(len(names), "node"), list(names)),
			Details: details,
		}, moved)
	}
	if replaced := a.claim(of(typePool, opReplace)); len(replaced) > 0 {
		a.inTurn(replaced)
	}
}

// inTurn are instances that the program itself relaunches. Their configurations
// belong to them.
func (a *assessment) inTurn(pools []*Change) {
	nodes := indexes(pools)
	configs := a.claim(func(c *Change) bool {
		return short(c.Type) == typeConfig && slices.Contains(nodes, c.node()) && c.Op != opCreate && c.Op != opDelete
	})
	names := a.nodeNames(nodes)
	a.report.Nodes.Relaunched = append(a.report.Nodes.Relaunched, names...)
	a.waits.turns = len(names)
	text := fmt.Sprintf("%s relaunched: %s", count(len(names), "node"), list(names))
	if len(names) > 1 {
		text = fmt.Sprintf("%s relaunched, one after another: %s", count(len(names), "node"), list(names))
	}
	away := Estimate{Seconds: a.away()}.About()
	a.add(Line{
		Severity: Interruption, Area: "instances", Text: text + bracket(strings.Join(launchChanges(configs), ", ")),
		Details: []string{
			fmt.Sprintf("%s is drained first: its clients are moved to the others, %s at a time. Then its instance ends, and another one with the same "+
				"volume, address and name takes its place. It is away for %s.", pick(len(names), "It", "Each"), a.share(1), away),
			pick(len(names), "It begins", "The next one begins") + " only when the cluster is whole (gates G1 to G4). The data stay: no volume is touched.",
		},
	}, pools, configs)
}

// away is how long a node that is relaunched is not there.
func (a *assessment) away() int {
	launch := a.launch(secondsPool + secondsEnd + secondsPool + secondsLaunch + secondsBoot + secondsInstall + secondsAttach + secondsAddress)
	return whole(a.s.Broker.ShutdownDelay) + secondsEMQXStop + launch + a.pull() + secondsForm + whole(a.s.Broker.MinHealthyTime)
}

// launchWords are the parts of an instance configuration that people know.
var launchWords = map[string]string{
	"shape": "shape", "shapeConfig.ocpus": "OCPUs", "shapeConfig.memoryInGbs": "memory in GB",
	"sourceDetails.imageId": "image", "sourceDetails.bootVolumeSizeInGbs": "boot volume in GB",
	"sourceDetails.bootVolumeVpusPerGb": "boot volume VPUs per GB",
	"createVnicDetails.subnetId":        "subnet", "metadata.user_data": "boot script", "metadata.ssh_authorized_keys": "SSH key",
}

// launchChanges say what becomes different of instances.
func launchChanges(configs []*Change) []string {
	var what []string
	for _, c := range configs {
		for i := range c.Diffs {
			d := &c.Diffs[i]
			path := strings.TrimPrefix(d.Path, "instanceDetails.launchDetails.")
			name, known := launchWords[path]
			switch {
			case cosmetic(path):
				what = appendNew(what, "names or tags")
			case !known:
				what = appendNew(what, path)
			case name == "boot script" || name == "SSH key":
				what = appendNew(what, "another "+name)
			default:
				what = appendNew(what, d.words(name))
			}
		}
	}
	return what
}

// reconfigured: OCI never touches an instance because its configuration changes.
func (a *assessment) reconfigured(configs, pools []*Change) {
	a.add(Line{
		Severity: Notice, Area: "instances",
		Text: "New instance configuration for " + a.nodeList(slices.Concat(configs, pools)) + bracket(strings.Join(launchChanges(configs), ", ")) +
			": instances that run are not touched",
		Details: []string{
			"It holds from the next launch of each instance. To bring it in, terminate one instance at a time (console, or " +
				"`oci compute instance terminate --instance-id <OCID>`); its pool launches the new kind. Run `emqx-oci up " +
				a.s.Environment + "` before the next one: it ends when the node is back.",
		},
	}, configs, pools)
}

// addresses of nodes that stay.
func (a *assessment) addresses() {
	for _, op := range []string{opReplace, opDelete, opUpdate, opCreate} {
		changes := a.claim(of(typeAddress, op))
		if len(changes) == 0 {
			continue
		}
		nodes := a.nodeList(changes)
		l := Line{
			Severity: Interruption, Area: "addresses", Text: "The reserved addresses of " + nodes + " are replaced" + bracket(differences(changes, map[string]string{"subnetId": "subnet"})),
			Details: []string{
				"EMQX and HAProxy of a running node listen on the old address, which it loses: the node is out until its boot script has " +
					"claimed the new one, at its next boot.",
			},
			brief: "addresses of " + count(len(changes), "node") + " replaced",
		}
		switch op {
		case opDelete:
			l.Text, l.brief = "The reserved addresses of "+nodes+" are given up", "addresses of "+count(len(changes), "node")+" given up"
			l.Details = []string{"A node that still runs with its address is out."}
		case opUpdate:
			l.Text, l.brief = "The reserved addresses of "+nodes+" are updated"+bracket(differences(changes, nil)), "addresses of "+count(len(changes), "node")+" detached"
			l.Details = []string{"Any update of a reserved address detaches it from the instance that has it: the node is out until its next boot."}
		case opCreate:
			l = Line{Severity: None, Area: "addresses", Text: "Addresses are reserved for " + nodes}
		}
		a.add(l, changes)
	}
}
