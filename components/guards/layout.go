package guards

import (
	"strconv"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/settings"
)

// Layout is what the cluster consists of. It is kept in the stack's state, as
// the inputs of the component "layout".
type Layout struct {
	Nodes   []LayoutNode
	Volumes []LayoutVolume
	// Scope is what all of it is made in ([Words]).
	Scope string
}

// LayoutNode is one node, by its index.
type LayoutNode struct {
	Index int
	Name  string
	// Zone is the part of its cloud that it is in.
	Zone string
}

// LayoutVolume is the data volume of a node, which may outlive it.
type LayoutVolume struct {
	Index int
	Name  string
	// Zone is the part of its cloud that it is in.
	Zone   string
	SizeGB int
	// Adopted is the id of the volume that the settings have taken over, if any.
	Adopted string
	// Retained is set when it stays in the cloud when it leaves the stack: of the layout
	// that is asked for, when the settings want it; of the one that is read, when the
	// engine knows ([Layout.Outputs]).
	Retained bool
}

// LayoutOf is the layout that the settings ask for, in a scope. nodes are those that
// have a volume; the first nodes.count of them run.
func LayoutOf(s settings.Settings, scope string, nodes []cluster.Node) Layout {
	l := Layout{Scope: scope}
	for i, n := range nodes {
		if i < s.Nodes.Count {
			l.Nodes = append(l.Nodes, LayoutNode{Index: n.Index, Name: n.Name, Zone: n.Zone})
		}
		l.Volumes = append(l.Volumes, LayoutVolume{
			Index: n.Index, Name: n.Name, Zone: n.Zone, SizeGB: s.VolumeSizeGB(n.Index),
			Adopted:  s.Volumes.Adopt[strconv.Itoa(n.Index)],
			Retained: s.Volumes.Retain || s.Volumes.Adopt[strconv.Itoa(n.Index)] != "",
		})
	}
	return l
}

// Inputs are what the state keeps of a layout, and of the cookie as a secret.
func (l Layout) Inputs(cookie settings.Secret) pulumi.Map {
	nodes, volumes := pulumi.Array{}, pulumi.Array{}
	for _, n := range l.Nodes {
		nodes = append(nodes, pulumi.Map{
			"index": pulumi.Int(n.Index), "name": pulumi.String(n.Name), "domain": pulumi.String(n.Zone),
		})
	}
	for _, v := range l.Volumes {
		volume := pulumi.Map{
			"index": pulumi.Int(v.Index), "name": pulumi.String(v.Name), "domain": pulumi.String(v.Zone),
			"sizeGb": pulumi.Int(v.SizeGB),
		}
		if v.Adopted != "" {
			volume["adopted"] = pulumi.String(v.Adopted)
		}
		if v.Retained {
			volume["retained"] = pulumi.Bool(true)
		}
		volumes = append(volumes, volume)
	}
	return pulumi.Map{
		"nodes": nodes, "volumes": volumes, "compartment": pulumi.String(l.Scope), "cookie": cookie.Output(),
	}
}

// Outputs are what the state keeps of a layout once its volumes are registered:
// the indexes of those that stay in the cloud. What a delete does, the engine decides by
// the volume's own state, and an update may end between its inputs, which are kept
// first, and the volumes.
//
// The engine drops the outputs when the inputs change, so that an update that sets
// retain to false leaves none behind, however it ends.
func (l Layout) Outputs(volumes []pulumi.Resource) pulumi.Map {
	registered := make([]any, len(volumes))
	for i, v := range volumes {
		registered[i] = v.URN()
	}
	return pulumi.Map{"retained": pulumi.All(registered...).ApplyT(func([]any) []int {
		kept := []int{}
		for _, v := range l.Volumes {
			if v.Retained {
				kept = append(kept, v.Index)
			}
		}
		return kept
	})}
}

// Read takes a layout and the cookie out of what the state kept. A stack that
// was never deployed has an empty one, and what an older version did not keep
// is zero: [Compare] leaves out what it does not know.
func Read(inputs, outputs resource.PropertyMap) (l Layout, cookie string) {
	settled := map[int]bool{}
	for _, v := range array(outputs["retained"]) {
		settled[number(v)] = true
	}
	for _, v := range array(inputs["nodes"]) {
		o := object(v)
		l.Nodes = append(l.Nodes, LayoutNode{Index: number(o["index"]), Name: text(o["name"]), Zone: text(o["domain"])})
	}
	for _, v := range array(inputs["volumes"]) {
		o := object(v)
		l.Volumes = append(l.Volumes, LayoutVolume{
			Index: number(o["index"]), Name: text(o["name"]), Zone: text(o["domain"]), SizeGB: number(o["sizeGb"]),
			Adopted: text(o["adopted"]), Retained: truth(o["retained"]) && settled[number(o["index"])],
		})
	}
	l.Scope = text(inputs["compartment"])
	return l, text(inputs["cookie"])
}

// bare takes the marks of secrets and outputs off a value.
func bare(v resource.PropertyValue) resource.PropertyValue {
	for {
		switch {
		case v.IsSecret():
			v = v.SecretValue().Element
		case v.IsOutput() && v.OutputValue().Known:
			v = v.OutputValue().Element
		default:
			return v
		}
	}
}

func array(v resource.PropertyValue) []resource.PropertyValue {
	if v = bare(v); v.IsArray() {
		return v.ArrayValue()
	}
	return nil
}

func object(v resource.PropertyValue) resource.PropertyMap {
	if v = bare(v); v.IsObject() {
		return v.ObjectValue()
	}
	return nil
}

func text(v resource.PropertyValue) string {
	if v = bare(v); v.IsString() {
		return v.StringValue()
	}
	return ""
}

func truth(v resource.PropertyValue) bool {
	v = bare(v)
	return v.IsBool() && v.BoolValue()
}

func number(v resource.PropertyValue) int {
	if v = bare(v); v.IsNumber() {
		return int(v.NumberValue())
	}
	return 0
}
