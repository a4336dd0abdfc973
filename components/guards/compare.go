package guards

import (
	"fmt"
	"slices"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/settings"
)

// Words are in what guards speak of the cloud that the nodes are in.
type Words struct {
	// Cloud is its name: "OCI".
	Cloud string
	// Scope is what all of a cluster is made in, as the settings say; ScopeName what the cloud calls such a thing, and
	// ScopeSetting the setting: "ocid1.compartment.oc1..a", "compartment", "emqx-oci:oci.compartment".
	Scope, ScopeName, ScopeSetting string
	// ZoneName is what the cloud calls the part of it that a node is in, and ZoneSetting the setting that decides on it.
	ZoneName, ZoneSetting string
}

// Compare judges the way from one layout to the next. An empty old layout is a
// stack that was never deployed: nothing in it can be lost.
func Compare(old, next Layout, oldCookie, newCookie string, allow settings.Guards, w Words) []Violation {
	var found []Violation
	found = append(found, renamed(old, next)...)
	found = append(found, volumesDeleted(old, next, allow)...)
	found = append(found, volumesReplaced(old, next, allow, w)...)
	found = append(found, volumesExchanged(old, next, allow)...)
	found = append(found, volumesMoved(old, next, allow, w)...)
	found = append(found, volumesShrunk(old, next, w)...)
	found = append(found, scaledIn(old, next, allow)...)
	found = append(found, allReplaced(old, next, allow, w)...)
	if oldCookie != "" && newCookie != oldCookie && !allow.AllowCookieChange {
		found = append(found, Violation{
			Guard: CookieChange, Allow: "emqx-oci:guards.allowCookieChange",
			Message: "emqx-oci:secrets.erlangCookie changes: nodes with the old and with the new one do not see each other, " +
				"so the cluster splits while it rolls: put the old one back, or set emqx-oci:guards.allowCookieChange to true",
		})
	}
	return found
}

// renamed: the environment is in every name that outlives an update, in the cloud, Nomad,
// Consul and EMQX. Nothing of a cluster can change it, and half of it would be replaced
// before the rest is refused.
func renamed(old, next Layout) []Violation {
	for _, v := range old.Volumes {
		n, stays := next.volume(v.Index)
		if !stays || v.Name == "" || v.Name == n.Name {
			continue
		}
		was, is := cluster.EnvironmentOf(v.Name, v.Index), cluster.EnvironmentOf(n.Name, n.Index)
		return []Violation{{
			Guard: Renamed,
			Message: fmt.Sprintf("the stack was deployed as %q and is called %q now: its nodes, volumes, jobs and members have the old name and cannot take another: "+
				"give the stack its name back (pulumi stack rename %s), or make a new stack for a new cluster", was, is, was),
		}}
	}
	return nil
}

const allowVolumeDelete = "emqx-oci:guards.allowVolumeDelete"

func volumesDeleted(old, next Layout, allow settings.Guards) []Violation {
	var gone []place
	keep := 0
	for _, v := range old.Volumes {
		if _, stays := next.volume(v.Index); !stays && !v.Retained {
			gone = append(gone, place{v.Index, v.Name})
			keep = max(keep, v.Index+1)
		}
	}
	if len(gone) == 0 || allow.AllowVolumeDelete {
		return nil
	}
	message := fmt.Sprintf("DATA LOSS: %s of %s would be deleted with %s data: set emqx-oci:volumes.count to %d to keep %s, or %s to true to delete %s",
		some(gone, "the volume", "volumes"), nodes(gone), some(gone, "its", "their"), keep, some(gone, "it", "them"),
		allowVolumeDelete, some(gone, "it", "them"))
	if next.retains() {
		message += "; emqx-oci:volumes.retain counts for a volume that an update with it has reached: run one before this"
	}
	if !allow.AllowScaleIn {
		message += "; to keep volumes without their nodes, emqx-oci:guards.allowScaleIn is needed, too"
	}
	return []Violation{{Guard: VolumeDelete, Allow: allowVolumeDelete, Message: message}}
}

// volumesReplaced: a volume cannot leave its zone.
func volumesReplaced(old, next Layout, allow settings.Guards, w Words) []Violation {
	var lost []place
	from, to, retained := "", "", true
	for _, v := range old.Volumes {
		if n, stays := next.volume(v.Index); stays && moves(v.Zone, n.Zone) {
			lost, retained = append(lost, place{v.Index, v.Name}), retained && v.Retained
			if from == "" {
				from, to = v.Zone, n.Zone
			}
		}
	}
	if len(lost) == 0 || allow.AllowVolumeDelete {
		return nil
	}
	what, cost := "DATA LOSS: ", "to lose the data"
	if retained {
		what, cost = "", "to begin without the data, which "+some(lost, "stays", "stay")+" in "+w.Cloud+" on "+some(lost, "the old volume", "the old volumes")
	}
	return []Violation{{
		Guard: VolumeDelete, Allow: allowVolumeDelete,
		Message: fmt.Sprintf("%s%s of %s would be replaced by %s, because the %s changes (%s: %s to %s): put %s back in its order, or set %s to true %s", what,
			some(lost, "the volume", "volumes"), nodes(lost), some(lost, "an empty one", "empty ones"), w.ZoneName, lost[0].name, from, to, w.ZoneSetting, allowVolumeDelete, cost),
	}}
}

// volumesExchanged: Pulumi takes over a volume in the place of the one that the
// stack has, and deletes that one unless it is retained.
func volumesExchanged(old, next Layout, allow settings.Guards) []Violation {
	var lost []place
	for _, v := range old.Volumes {
		if n, stays := next.volume(v.Index); stays && n.Adopted != "" && v.Adopted == "" && !v.Retained {
			lost = append(lost, place{v.Index, v.Name})
		}
	}
	if len(lost) == 0 || allow.AllowVolumeDelete {
		return nil
	}
	return []Violation{{
		Guard: VolumeDelete, Allow: allowVolumeDelete,
		Message: fmt.Sprintf("DATA LOSS: %s of %s would be deleted in favour of %s that emqx-oci:volumes.adopt names: take the setting out to keep %s, "+
			"or set %s to true when %s gone already, or not wanted",
			some(lost, "the volume", "volumes"), nodes(lost), some(lost, "the one", "those"), some(lost, "it", "them"),
			allowVolumeDelete, some(lost, "it is", "they are")),
	}}
}

// volumesMoved: a cloud may move a volume to another scope as it is, but an
// instance stays where it was started, and looks for its volume there.
func volumesMoved(old, next Layout, allow settings.Guards, w Words) []Violation {
	if !moves(old.Scope, next.Scope) || len(old.Volumes) == 0 || allow.AllowVolumeDelete {
		return nil
	}
	return []Violation{{
		Guard: VolumeDelete, Allow: allowVolumeDelete,
		Message: fmt.Sprintf("the volumes of all nodes would leave %s %s for %s, and nodes that were started there no longer find them: "+
			"put %s back, or set %s to true", w.ScopeName, old.Scope, next.Scope, w.ScopeSetting, allowVolumeDelete),
	}}
}

// volumesShrunk: clouds only grow volumes, and a new one would be empty.
func volumesShrunk(old, next Layout, w Words) []Violation {
	var found []Violation
	for _, v := range old.Volumes {
		n, stays := next.volume(v.Index)
		if !stays || n.SizeGB >= v.SizeGB || moves(v.Zone, n.Zone) {
			continue
		}
		found = append(found, Violation{
			Guard: VolumeShrink,
			Message: fmt.Sprintf("the volume of %s would shrink from %d to %d GB, and %s only grows volumes: "+
				"set emqx-oci:volumes.sizeGb, or emqx-oci:volumes.sizeGbByNode.%d, to at least %d",
				nodes([]place{{v.Index, v.Name}}), v.SizeGB, n.SizeGB, w.Cloud, v.Index, v.SizeGB),
		})
	}
	return found
}

func scaledIn(old, next Layout, allow settings.Guards) []Violation {
	var gone []place
	keep := 0
	for _, n := range old.Nodes {
		_, stays := next.node(n.Index)
		_, kept := next.volume(n.Index)
		if !stays && kept {
			gone = append(gone, place{n.Index, n.Name})
			keep = max(keep, n.Index+1)
		}
	}
	if len(gone) == 0 || allow.AllowScaleIn {
		return nil
	}
	return []Violation{{
		Guard: ScaleIn, Allow: "emqx-oci:guards.allowScaleIn",
		Message: fmt.Sprintf("%s would go while %s, and what is on %s is out of reach: "+
			"set emqx-oci:nodes.count to %d to keep %s, or emqx-oci:guards.allowScaleIn to true",
			nodes(gone), some(gone, "its volume stays", "their volumes stay"), some(gone, "it", "them"),
			keep, some(gone, "it", "them")),
	}}
}

func allReplaced(old, next Layout, allow settings.Guards, w Words) []Violation {
	var moved []place
	for _, n := range old.Nodes {
		now, stays := next.node(n.Index)
		switch {
		case !stays:
		case moves(n.Zone, now.Zone):
			moved = append(moved, place{n.Index, n.Name})
		default:
			return nil
		}
	}
	if len(moved) == 0 || allow.AllowReplaceAllNodes {
		return nil
	}
	return []Violation{{
		Guard: ReplaceAllNodes, Allow: "emqx-oci:guards.allowReplaceAllNodes",
		Message: fmt.Sprintf("every node that stays would be replaced at once, %s, because every %s changes: "+
			"put %s back in its order, or set emqx-oci:guards.allowReplaceAllNodes to true", nodes(moved), w.ZoneName, w.ZoneSetting),
	}}
}

// moves tells whether a place changes. One that an older record does not hold
// is not known to.
func moves(from, to string) bool { return from != "" && to != "" && from != to }

// retains tells whether the settings want volumes to stay in the cloud.
func (l Layout) retains() bool {
	return slices.ContainsFunc(l.Volumes, func(v LayoutVolume) bool { return v.Retained && v.Adopted == "" })
}

func (l Layout) node(index int) (LayoutNode, bool) {
	for _, n := range l.Nodes {
		if n.Index == index {
			return n, true
		}
	}
	return LayoutNode{}, false
}

func (l Layout) volume(index int) (LayoutVolume, bool) {
	for _, v := range l.Volumes {
		if v.Index == index {
			return v, true
		}
	}
	return LayoutVolume{}, false
}
