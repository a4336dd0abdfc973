// Package sdktable writes the rows of the oci provider from the source of the
// official Go SDK: names and types from the argument structs, required inputs from
// the constructors, replacement from the "(Updatable)" marks in the comments,
// computed from the output types.
//
// What the marks do not say but the real provider was seen to do stands in
// corrections, each with its reason. It runs in a test only (go test -update), so
// that the table in the tree cannot drift from the SDK in go.mod.
package sdktable

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"slices"
	"sort"
	"strings"
)

// Item is one resource or function of the SDK.
type Item struct {
	Token  string
	Folder string // package folder under sdk/go/oci
	Name   string // Go name: Volume, GetSubnet
}

// Function reports whether the item is a function.
func (i Item) Function() bool { return strings.HasPrefix(i.Name, "Get") }

// Items the lab's cloud serves.
var Items = []Item{
	{"oci:Core/volume:Volume", "core", "Volume"},
	{"oci:Core/volumeBackupPolicyAssignment:VolumeBackupPolicyAssignment", "core", "VolumeBackupPolicyAssignment"},
	{"oci:Core/privateIp:PrivateIp", "core", "PrivateIp"},
	{"oci:Core/instanceConfiguration:InstanceConfiguration", "core", "InstanceConfiguration"},
	{"oci:Core/instancePool:InstancePool", "core", "InstancePool"},
	{"oci:Core/networkSecurityGroup:NetworkSecurityGroup", "core", "NetworkSecurityGroup"},
	{"oci:Core/networkSecurityGroupSecurityRule:NetworkSecurityGroupSecurityRule", "core", "NetworkSecurityGroupSecurityRule"},
	{"oci:NetworkLoadBalancer/networkLoadBalancer:NetworkLoadBalancer", "networkloadbalancer", "NetworkLoadBalancer"},
	{"oci:NetworkLoadBalancer/backendSet:BackendSet", "networkloadbalancer", "BackendSet"},
	{"oci:NetworkLoadBalancer/backend:Backend", "networkloadbalancer", "Backend"},
	{"oci:NetworkLoadBalancer/networkLoadBalancersBackendSetsUnified:NetworkLoadBalancersBackendSetsUnified", "networkloadbalancer", "NetworkLoadBalancersBackendSetsUnified"},
	{"oci:NetworkLoadBalancer/listener:Listener", "networkloadbalancer", "Listener"},
	{"oci:LoadBalancer/loadBalancer:LoadBalancer", "loadbalancer", "LoadBalancer"},
	{"oci:LoadBalancer/backendSet:BackendSet", "loadbalancer", "BackendSet"},
	{"oci:LoadBalancer/backend:Backend", "loadbalancer", "Backend"},
	{"oci:LoadBalancer/listener:Listener", "loadbalancer", "Listener"},
	{"oci:LoadBalancer/certificate:Certificate", "loadbalancer", "Certificate"},
	{"oci:LoadBalancer/sslCipherSuite:SslCipherSuite", "loadbalancer", "SslCipherSuite"},
	{"oci:Dns/rrset:Rrset", "dns", "Rrset"},
	{"oci:Identity/getAvailabilityDomains:getAvailabilityDomains", "identity", "GetAvailabilityDomains"},
	{"oci:NetworkLoadBalancer/getBackendSetHealth:getBackendSetHealth", "networkloadbalancer", "GetBackendSetHealth"},
	{"oci:NetworkLoadBalancer/getBackendHealth:getBackendHealth", "networkloadbalancer", "GetBackendHealth"},
	{"oci:Core/getSubnet:getSubnet", "core", "GetSubnet"},
	{"oci:Core/getSubnets:getSubnets", "core", "GetSubnets"},
	{"oci:Core/getVcns:getVcns", "core", "GetVcns"},
	{"oci:Core/getVolumeBackupPolicies:getVolumeBackupPolicies", "core", "GetVolumeBackupPolicies"},
	{"oci:Core/getInstancePoolInstances:getInstancePoolInstances", "core", "GetInstancePoolInstances"},
	{"oci:Core/getVolumes:getVolumes", "core", "GetVolumes"},
	{"oci:Core/getPrivateIps:getPrivateIps", "core", "GetPrivateIps"},
	{"oci:Core/getInstanceConfigurations:getInstanceConfigurations", "core", "GetInstanceConfigurations"},
	{"oci:Core/getInstancePools:getInstancePools", "core", "GetInstancePools"},
	{"oci:Core/getNetworkSecurityGroups:getNetworkSecurityGroups", "core", "GetNetworkSecurityGroups"},
	{"oci:Core/getNetworkSecurityGroupSecurityRules:getNetworkSecurityGroupSecurityRules", "core", "GetNetworkSecurityGroupSecurityRules"},
	{"oci:NetworkLoadBalancer/getNetworkLoadBalancers:getNetworkLoadBalancers", "networkloadbalancer", "GetNetworkLoadBalancers"},
	{"oci:NetworkLoadBalancer/getBackendSets:getBackendSets", "networkloadbalancer", "GetBackendSets"},
	{"oci:NetworkLoadBalancer/getBackends:getBackends", "networkloadbalancer", "GetBackends"},
	{"oci:NetworkLoadBalancer/getListeners:getListeners", "networkloadbalancer", "GetListeners"},
	{"oci:LoadBalancer/getBackendSetHealth:getBackendSetHealth", "loadbalancer", "GetBackendSetHealth"},
	{"oci:LoadBalancer/getLoadBalancers:getLoadBalancers", "loadbalancer", "GetLoadBalancers"},
	{"oci:LoadBalancer/getBackendSets:getBackendSets", "loadbalancer", "GetBackendSets"},
	{"oci:LoadBalancer/getBackends:getBackends", "loadbalancer", "GetBackends"},
	{"oci:LoadBalancer/getCertificates:getCertificates", "loadbalancer", "GetCertificates"},
	{"oci:LoadBalancer/getSslCipherSuites:getSslCipherSuites", "loadbalancer", "GetSslCipherSuites"},
}

type correction struct {
	set, drop []string
	setType   bool // list -> set
}

// corrections by "Struct.property"; "*" is every property of the struct.
var corrections = map[string]correction{
	// No mark anywhere, yet the real provider updates a rule in place (measured);
	// only its group is fixed, a rule is identified within it.
	"NetworkSecurityGroupSecurityRule.*":                      {drop: []string{"replace"}},
	"NetworkSecurityGroupSecurityRule.networkSecurityGroupId": {set: []string{"replace"}},
	// Set by the node that claims the address; the provider plans it away (measured).
	"PrivateIp.vnicId":            {set: []string{"watched"}},
	"PrivateIp.routeTableId":      {set: []string{"watched"}},
	"Provider.privateKey":         {set: []string{"secret"}},
	"Provider.privateKeyPassword": {set: []string{"secret"}},
	// Named by the bridge when the program does not (measured: a random name).
	"BackendSet.name": {set: []string{"autoname"}},
	"Backend.name":    {set: []string{"autoname"}},
	"Listener.name":   {set: []string{"autoname"}},
	"NetworkLoadBalancersBackendSetsUnified.name": {set: []string{"autoname"}},
	// Sensitive in the Terraform provider.
	"Certificate.privateKey": {set: []string{"secret"}},
	"Certificate.passphrase": {set: []string{"secret"}},
	// TypeSet in the Terraform provider: order means nothing.
	"*.nsgIds":    {setType: true},
	"Rrset.items": {setType: true},
	"NetworkLoadBalancer.networkSecurityGroupIds":     {setType: true},
	"LoadBalancer.networkSecurityGroupIds":            {setType: true},
	"NetworkLoadBalancersBackendSetsUnified.backends": {setType: true},
}

type sdk struct {
	structs map[string]map[string]*ast.StructType // folder -> name
	funcs   map[string]map[string]*ast.FuncDecl
}

// Generate reads the SDK in dir (the module's folder) and returns the table.
func Generate(dir string) (string, error) {
	s := sdk{map[string]map[string]*ast.StructType{}, map[string]map[string]*ast.FuncDecl{}}
	fset := token.NewFileSet()
	for _, it := range Items {
		base := strings.ToLower(it.Name[:1]) + it.Name[1:]
		for _, file := range []string{base + ".go", "pulumiTypes.go", "pulumiTypes1.go", "pulumiTypes2.go"} {
			if err := s.read(fset, filepath.Join(dir, "go", "oci", it.Folder), it.Folder, file); err != nil {
				return "", fmt.Errorf("reading the SDK for %s: %w", it.Token, err)
			}
		}
	}
	if err := s.read(fset, filepath.Join(dir, "go", "oci"), "", "provider.go"); err != nil {
		return "", fmt.Errorf("reading the SDK's provider: %w", err)
	}
	var b strings.Builder
	b.WriteString("# Written by sdktable from pulumi-oci's Go SDK; `go test ./lab/providers/oci -update` renews it.\n")
	g := generator{sdk: s, out: &b, done: map[string]bool{}}
	b.WriteString("\nconfig\n")
	for _, f := range fields(s.structs[""]["providerArgs"]) {
		g.row("in", "Provider", "", f, nil)
	}
	for _, it := range Items {
		if err := g.item(it); err != nil {
			return "", fmt.Errorf("writing the table of %s: %w", it.Token, err)
		}
	}
	for len(g.queue) > 0 {
		next := g.queue[0]
		g.queue = g.queue[1:]
		if err := g.object(next); err != nil {
			return "", err
		}
	}
	return b.String(), nil
}

func (s *sdk) read(fset *token.FileSet, dir, folder, file string) error {
	path := filepath.Join(dir, file)
	if matches, _ := filepath.Glob(path); len(matches) == 0 {
		return nil
	}
	if s.structs[folder] == nil {
		s.structs[folder], s.funcs[folder] = map[string]*ast.StructType{}, map[string]*ast.FuncDecl{}
	}
	if _, done := s.structs[folder][" "+file]; done {
		return nil
	}
	s.structs[folder][" "+file] = nil
	f, err := parser.ParseFile(fset, path, nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				if ts, ok := spec.(*ast.TypeSpec); ok {
					if st, ok := ts.Type.(*ast.StructType); ok {
						s.structs[folder][ts.Name.Name] = st
					}
				}
			}
		case *ast.FuncDecl:
			s.funcs[folder][d.Name.Name] = d
		}
	}
	return nil
}

type object struct{ folder, name string }

type generator struct {
	sdk   sdk
	out   *strings.Builder
	queue []object
	done  map[string]bool
}

func (g *generator) item(it Item) error {
	kind, in, outName := "resource", strings.ToLower(it.Name[:1])+it.Name[1:]+"Args", it.Name
	if it.Function() {
		kind, in, outName = "function", it.Name+"Args", it.Name+"Result"
		if g.sdk.structs[it.Folder][in] == nil { // a function that shares its name with a resource's Get
			name := "Lookup" + strings.TrimPrefix(it.Name, "Get")
			in, outName = name+"Args", name+"Result"
		}
	}
	inputs, outputs := g.sdk.structs[it.Folder][in], g.sdk.structs[it.Folder][outName]
	if inputs == nil || outputs == nil {
		return fmt.Errorf("no struct %s or %s in %s", in, outName, it.Folder)
	}
	required := requiredBy(g.sdk.funcs[it.Folder]["New"+it.Name])
	fmt.Fprintf(g.out, "\n%s %s\n", kind, it.Token)
	given := map[string]bool{}
	for _, f := range fields(inputs) {
		given[f.name] = true
		flags := f.flags()
		if slices.Contains(required, f.goName) && !slices.Contains(flags, "required") {
			flags = append([]string{"required"}, flags...)
		}
		if o, ok := findField(outputs, f.name); ok && !f.required() && !strings.Contains(typeName(o.typ), "Ptr") && !it.Function() {
			flags = append(flags, "computed")
		}
		if it.Function() {
			flags = without(flags, "replace")
		}
		g.row("in", it.Name, it.Folder, f, flags)
	}
	for _, f := range fields(outputs) {
		if !given[f.name] {
			g.row("out", it.Name, it.Folder, f, nil)
		}
	}
	return nil
}

func (g *generator) object(o object) error {
	key := objectName(o)
	if g.done[key] {
		return nil
	}
	g.done[key] = true
	st := g.sdk.structs[o.folder][o.name]
	if st == nil {
		return fmt.Errorf("writing the table of object %s: no such struct", key)
	}
	fmt.Fprintf(g.out, "\nobject %s\n", key)
	for _, f := range fields(st) {
		// Whether a change replaces is the top-level property's mark: below an
		// updatable block the comments leave it out as often as not.
		g.row("in", o.name, o.folder, f, without(f.flags(), "replace"))
	}
	return nil
}

func objectName(o object) string { return o.folder + "." + o.name }

func (g *generator) row(dir, owner, folder string, f field, flags []string) {
	t := g.typeOf(folder, f.typ)
	for _, key := range []string{owner + ".*", "*." + f.name, owner + "." + f.name} {
		c := corrections[key]
		flags = without(flags, c.drop...)
		flags = append(flags, c.set...)
		if c.setType {
			t = strings.Replace(t, "list(", "set(", 1)
		}
	}
	fmt.Fprintln(g.out, "  "+strings.TrimSpace(strings.Join(append([]string{dir, f.name, t}, flags...), " ")))
}

// typeOf maps a plain Go type, or an Output type, to a type of the table.
func (g *generator) typeOf(folder string, e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return g.typeOf(folder, e.X)
	case *ast.ArrayType:
		return "list(" + g.typeOf(folder, e.Elt) + ")"
	case *ast.MapType:
		return "map(" + g.typeOf(folder, e.Value) + ")"
	case *ast.InterfaceType:
		return "any"
	case *ast.SelectorExpr: // pulumi.StringOutput
		return outputType(e.Sel.Name)
	case *ast.Ident:
		switch e.Name {
		case "string":
			return "string"
		case "bool":
			return "bool"
		case "int":
			return "integer"
		case "float64":
			return "number"
		case "any":
			return "any"
		}
		name := e.Name
		if strings.HasSuffix(name, "Output") { // a nested output: its shape is the cloud's business
			return "any"
		}
		g.queue = append(g.queue, object{folder, name})
		return "object(" + objectName(object{folder, name}) + ")"
	}
	return "any"
}

func outputType(name string) string {
	name = strings.TrimSuffix(strings.TrimSuffix(name, "Output"), "Ptr")
	scalar := map[string]string{"String": "string", "Int": "integer", "Bool": "bool", "Float64": "number"}
	for suffix, wrap := range map[string]string{"Array": "list", "Map": "map"} {
		if s, ok := scalar[strings.TrimSuffix(name, suffix)]; ok && strings.HasSuffix(name, suffix) {
			return wrap + "(" + s + ")"
		}
	}
	if s, ok := scalar[name]; ok {
		return s
	}
	return "any"
}

type field struct {
	name, goName, doc string
	typ               ast.Expr
}

func (f field) required() bool {
	switch f.typ.(type) {
	case *ast.StarExpr, *ast.ArrayType, *ast.MapType, *ast.InterfaceType:
		return false
	}
	return true
}

func (f field) flags() []string {
	var flags []string
	if f.required() {
		flags = append(flags, "required")
	}
	if !strings.Contains(f.doc, "(Updatable)") {
		flags = append(flags, "replace")
	}
	return flags
}

func fields(st *ast.StructType) []field {
	var out []field
	for _, f := range st.Fields.List {
		if f.Tag == nil || len(f.Names) == 0 {
			continue
		}
		name := reflect.StructTag(strings.Trim(f.Tag.Value, "`")).Get("pulumi")
		if name == "" {
			continue
		}
		out = append(out, field{name, f.Names[0].Name, f.Doc.Text(), f.Type})
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].name < out[j].name })
	return out
}

func findField(st *ast.StructType, name string) (field, bool) {
	for _, f := range fields(st) {
		if f.name == name {
			return f, true
		}
	}
	return field{}, false
}

func typeName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.SelectorExpr:
		return e.Sel.Name
	case *ast.Ident:
		return e.Name
	}
	return ""
}

// requiredBy reads `if args.X == nil { return ... }` of a constructor: the only
// place where the SDK says that a list is required.
func requiredBy(fn *ast.FuncDecl) []string {
	var out []string
	if fn == nil {
		return nil
	}
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		c, ok := n.(*ast.BinaryExpr)
		if !ok || c.Op != token.EQL {
			return true
		}
		if sel, ok := c.X.(*ast.SelectorExpr); ok {
			if id, ok := sel.X.(*ast.Ident); ok && id.Name == "args" {
				out = append(out, sel.Sel.Name)
			}
		}
		return true
	})
	return out
}

func without(flags []string, drop ...string) []string {
	return slices.DeleteFunc(slices.Clone(flags), func(f string) bool { return slices.Contains(drop, f) })
}
