package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/emqx-oci/emqx-oci/components/kinds"
	"github.com/emqx-oci/emqx-oci/infra/orchestrate"
	"github.com/emqx-oci/emqx-oci/infra/orchestrate/progress"
)

// keptVolume is a volume that stays in its cloud when its stack is destroyed. The JSON names are stable.
type keptVolume struct {
	Index  int    `json:"index"`
	Name   string `json:"name"`
	SizeGB int    `json:"sizeGb"`
	Domain string `json:"domain"`
	ID     string `json:"id"`
	// cloud is what people call the one that it is in.
	cloud string
}

// keptOf are the volumes that a destroy leaves, by index. What else the state retains are their backup policies.
func keptOf(held []orchestrate.Resource) []keptVolume {
	var kept []keptVolume
	for _, r := range held {
		v, cloud, ok := kinds.DataVolume(r.Type, r.Inputs)
		if !ok || !r.Retained {
			continue
		}
		index, _ := strconv.Atoi(r.Name[strings.LastIndex(r.Name, "-")+1:])
		kept = append(kept, keptVolume{Index: index, Name: v.Name, SizeGB: v.SizeGB, Domain: v.Zone, ID: r.ID, cloud: cloud})
	}
	slices.SortStableFunc(kept, func(x, y keptVolume) int { return x.Index - y.Index })
	return kept
}

// loss says what a destroy takes away.
func loss(stack string, held []orchestrate.Resource, kept []keptVolume) string {
	volumes := 0
	for _, r := range held {
		if _, _, ok := kinds.DataVolume(r.Type, nil); ok {
			volumes++
		}
	}
	switch lost := volumes - len(kept); {
	case volumes == 0:
		return fmt.Sprintf("This takes away everything of stack %s.", stack)
	case lost == 0:
		return fmt.Sprintf("This takes away everything of stack %s but its %s, which stay in %s with their data.", stack, count(volumes, "volume"), kept[0].cloud)
	case len(kept) == 0:
		return fmt.Sprintf("This takes away everything of stack %s, its %s and the data on them included.", stack, count(volumes, "volume"))
	default:
		return fmt.Sprintf("This takes away everything of stack %s, %d of its %s and the data on them included.", stack, lost, count(volumes, "volume"))
	}
}

// keeper tells at the end of a destroy what it leaves in the cloud: the state forgets it.
type keeper struct {
	progress.View
	app   *app
	stack string
	kept  []keptVolume
}

func (k *keeper) watch(o *orchestrate.Options) { k.View, o.View = o.View, k }

// End is part of progress.View. Programs read what stays before the summary, which is the last object; people after it.
// A destroy that failed may have let go of some already.
func (k *keeper) End(e progress.End) {
	var protected *orchestrate.ProtectedError
	var locked *orchestrate.LockedError
	began := len(k.kept) > 0 && !errors.As(e.Err, &protected) && !errors.As(e.Err, &locked)
	if began && k.app.asJSON {
		enc := json.NewEncoder(k.app.Stdout)
		_ = enc.Encode(struct {
			Event   string       `json:"event"`
			Time    time.Time    `json:"time"`
			Volumes []keptVolume `json:"volumes"`
		}{"kept", time.Now().Truncate(time.Millisecond), k.kept})
	}
	k.View.End(e)
	if began && !k.app.asJSON {
		k.tell()
	}
}

func (k *keeper) tell() {
	w := k.app.Stdout
	_, _ = fmt.Fprintf(w, "\n%s in %s, with the data and the backup policy:\n", stay(len(k.kept)), k.kept[0].cloud)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, v := range k.kept {
		_, _ = fmt.Fprintf(t, "  %d\t%s\t%d GB\t%s\t%s\n", v.Index, v.Name, v.SizeGB, v.Domain, v.ID)
	}
	_ = t.Flush()
	_, _ = fmt.Fprintf(w, "To use them again, put this into Pulumi.%s.yaml before the next \"emqx-oci up %s\", which makes empty ones otherwise:\n"+
		"  emqx-oci:volumes:\n    adopt:\n", k.stack, k.stack)
	for _, v := range k.kept {
		_, _ = fmt.Fprintf(w, "      \"%d\": %s\n", v.Index, v.ID)
	}
}

func stay(n int) string {
	if n == 1 {
		return "1 volume stays"
	}
	return fmt.Sprintf("%d volumes stay", n)
}
