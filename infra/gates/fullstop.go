package gates

import (
	"fmt"
	"strings"

	"github.com/emqx-oci/emqx-oci/components/cluster"
)

// Member is one that the stack wants, as it is seen now.
type Member struct {
	// Node is the node's name, Name the one that EMQX gives itself, Alloc the id of
	// its allocation.
	Node, Name, Alloc string
	// View is what it said; nil: its task does not run, and Away is why: "its node is
	// down".
	View *MemberView
	Away string
}

// waits: it has data of an earlier life, and is known not to serve.
func (m Member) waits() bool { return m.View != nil && m.View.Closed && !m.View.Fresh }

// WhoWaits explains members that run and do not serve, and returns what is the matter
// and the way out. After a full stop each waits for members that may have stopped
// after it; those whose tasks do not run say who that can be. Both are empty when
// that is not it, or not known to be: a member serves, starts for the first time or
// did not say what it does; none runs; or there is no other.
func WhoWaits(members []Member) (what, next string) {
	var waiting, names, away, leave []string
	var alloc string
	for _, m := range members {
		switch {
		case m.waits():
			if waiting = append(waiting, m.Node); alloc == "" {
				alloc = ShortID(m.Alloc)
			}
		case m.View != nil:
			return "", ""
		default:
			away = append(away, fmt.Sprintf("%s (%s)", m.Name, m.Away))
			names = append(names, m.Name)
		}
	}
	if len(waiting) == 0 || len(members) == 1 {
		return "", ""
	}
	inTask := "`nomad alloc exec -task " + cluster.EMQXTask + " " + alloc + " "
	force := inTask + "emqx_cluster_rescue force-load` on one of them"
	if len(away) == 0 {
		return fmt.Sprintf("no member serves: %s wait for one another; after a full stop each waits for the one that stopped last", JoinNames(waiting)),
			"if it stays so: " + force
	}
	for _, n := range names {
		leave = append(leave, inTask+"emqx ctl cluster force-leave "+n+"`")
	}
	wait := "wait"
	if len(waiting) == 1 {
		wait = "waits"
	}
	return fmt.Sprintf("no member serves: %s %s for the one that stopped last, which can only be %s: bring it back, and all serve by themselves",
			JoinNames(waiting), wait, strings.Join(away, " or ")),
		fmt.Sprintf("only if it never returns, for what it alone knew is lost: %s, then %s", force, strings.Join(leave, ", "))
}
