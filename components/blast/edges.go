package blast

import (
	"fmt"

	"github.com/emqx-oci/emqx-oci/components/blast/phrase"
)

// otherEdges tell of an edge that one of another kind takes the place of. They come first:
// what is deleted there has the names of what is made here.
func (a *Assessment) otherEdges() {
	for _, e := range a.Kinds.OtherEdges {
		gone, until := e.ClaimLeft(a)
		if len(gone) == 0 {
			continue
		}
		followers, keep := a.Kinds.Names.ClaimFollowers(a)
		l := Line{
			Severity: Interruption, Area: AreaEdge,
			Text: "The balancer is replaced by one of another kind, and with it its address",
			Details: []string{
				fmt.Sprintf("Clients have to look up %s again: its record follows once the new balancer is healthy, and resolvers keep the old address for up to %s. "+
					"The old balancer goes at the end of the update, and cuts every connection through it.", a.Settings.DNS.Name, keep),
				"Whoever allows the old address in a firewall has to allow the new one.",
			},
			Brief: "balancer replaced by one of another kind, with another address",
		}
		if until != "" {
			l.Details = append(l.Details, phrase.Capital(until))
		}
		a.Add(l, gone, followers)
	}
}
