package draw

import (
	"slices"
	"strings"

	"github.com/emqx-oci/emqx-oci/components"
	"github.com/emqx-oci/emqx-oci/components/recorder"
)

// Box is one component of the stack.
type Box struct {
	Name string
	// Contents are its resources, counted by type: "3 InstancePool".
	Contents []string
	// Gates stand before the box, in the order in which they are asked.
	Gates []string
	// After are the boxes it waits for, without those it waits for anyway.
	After []string
	// Rank is its row: the number of boxes on the longest way to it; one that
	// waits for nothing stands just before the first that waits for it.
	Rank int
	// Span is the number of rows that its longest arrow crosses.
	Span int
}

// Boxes folds a recording into its components, in the order of their ranks.
func Boxes(r *recorder.Recording) []Box {
	owner := map[string]string{}
	boxes := map[string]*Box{}
	counts := map[string]map[string]int{}
	for _, x := range within(r) {
		owner[x.Name] = x.Parent
		if boxes[x.Parent] == nil {
			boxes[x.Parent] = &Box{Name: x.Parent}
			counts[x.Parent] = map[string]int{}
		}
		counts[x.Parent][x.Type[strings.LastIndex(x.Type, ":")+1:]]++
		for _, gate := range x.Gates {
			if box := boxes[x.Parent]; !slices.Contains(box.Gates, gate) {
				box.Gates = append(box.Gates, gate)
			}
		}
	}
	edges := map[string]map[string]bool{}
	for _, x := range within(r) {
		for _, dep := range x.DependsOn {
			from, to := owner[dep], x.Parent
			if from == "" || to == "" || from == to {
				continue
			}
			if edges[to] == nil {
				edges[to] = map[string]bool{}
			}
			edges[to][from] = true
		}
	}
	var list []Box
	for name, box := range boxes {
		box.After = reduce(name, edges)
		box.Rank = rank(name, edges)
		box.Contents = contents(counts[name])
	}
	for _, box := range boxes {
		first, last := box.Rank+1, box.Rank+1
		for _, later := range boxes {
			if slices.Contains(later.After, box.Name) {
				last = max(last, later.Rank)
				if first == box.Rank+1 || later.Rank < first {
					first = later.Rank
				}
			}
		}
		if len(box.After) == 0 {
			box.Rank = first - 1
		}
		box.Span = last - box.Rank
	}
	for _, box := range boxes {
		list = append(list, *box)
	}
	slices.SortFunc(list, func(a, b Box) int {
		if a.Rank != b.Rank {
			return a.Rank - b.Rank
		}
		// Long arrows leave at the left, beside what they pass.
		if a.Span != b.Span {
			return b.Span - a.Span
		}
		return strings.Compare(a.Name, b.Name)
	})
	return list
}

// within are the resources in a cluster's components, named without the cluster that they are in.
func within(r *recorder.Recording) []recorder.Resource {
	at := slices.IndexFunc(r.Resources, func(x recorder.Resource) bool { return x.Type == components.ClusterType })
	if at < 0 {
		return nil
	}
	cluster := r.Resources[at].Name
	own := func(name string) string { return strings.TrimPrefix(name, cluster+"-") }
	var found []recorder.Resource
	for _, x := range r.Resources {
		if !x.Custom || x.Parent == "" || x.Parent == cluster {
			continue
		}
		x.Name, x.Parent, x.DependsOn, x.Gates = own(x.Name), own(x.Parent), slices.Clone(x.DependsOn), slices.Clone(x.Gates)
		for i, dep := range x.DependsOn {
			x.DependsOn[i] = own(dep)
		}
		for i, gate := range x.Gates {
			x.Gates[i] = strings.TrimPrefix(gate, cluster+": ")
		}
		found = append(found, x)
	}
	return found
}

// reduce drops what a box waits for through another one anyway.
func reduce(name string, edges map[string]map[string]bool) []string {
	var kept []string
	for direct := range edges[name] {
		indirect := false
		for other := range edges[name] {
			if other != direct && reaches(other, direct, edges) {
				indirect = true
			}
		}
		if !indirect {
			kept = append(kept, direct)
		}
	}
	slices.Sort(kept)
	return kept
}

func reaches(from, to string, edges map[string]map[string]bool) bool {
	for next := range edges[from] {
		if next == to || reaches(next, to, edges) {
			return true
		}
	}
	return false
}

func rank(name string, edges map[string]map[string]bool) int {
	deepest := 0
	for dep := range edges[name] {
		deepest = max(deepest, rank(dep, edges)+1)
	}
	return deepest
}
