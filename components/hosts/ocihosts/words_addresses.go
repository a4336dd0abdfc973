package ocihosts

import (
	"github.com/emqx-oci/emqx-oci/components/blast"
	"github.com/emqx-oci/emqx-oci/components/blast/phrase"
)

// addresses of nodes that stay.
func (w *wordsHosts) addresses() {
	for _, op := range []string{blast.Replace, blast.Delete, blast.Update, blast.Create} {
		changes := w.Claim(blast.Of(wordsAddress, op))
		if len(changes) == 0 {
			continue
		}
		nodes := w.NodeList(changes)
		l := blast.Line{
			Severity: blast.Interruption, Area: blast.AreaAddresses, Text: "The reserved addresses of " + nodes + " are replaced" + phrase.Bracket(blast.Differences(changes, map[string]string{"subnetId": "subnet"})),
			Details: []string{
				"EMQX and " + w.Kinds.Proxy.Name() + " of a running node listen on the old address, which it loses: the node is out until its boot script has " +
					"claimed the new one, at its next boot.",
			},
			Brief: "addresses of " + phrase.Count(len(changes), "node") + " replaced",
		}
		switch op {
		case blast.Delete:
			l.Text, l.Brief = "The reserved addresses of "+nodes+" are given up", "addresses of "+phrase.Count(len(changes), "node")+" given up"
			l.Details = []string{"A node that still runs with its address is out."}
		case blast.Update:
			l.Text, l.Brief = "The reserved addresses of "+nodes+" are updated"+phrase.Bracket(blast.Differences(changes, nil)), "addresses of "+phrase.Count(len(changes), "node")+" detached"
			l.Details = []string{"Any update of a reserved address detaches it from the instance that has it: the node is out until its next boot."}
		case blast.Create:
			l = blast.Line{Severity: blast.None, Area: blast.AreaAddresses, Text: "Addresses are reserved for " + nodes}
		}
		w.Add(l, changes)
	}
}
