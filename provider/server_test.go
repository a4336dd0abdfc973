package main

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components"
)

type object struct {
	Description     string
	Properties      map[string]published
	InputProperties map[string]published
	Required        []string
	RequiredInputs  []string
	IsComponent     bool
}

type published struct {
	Ref                  string `json:"$ref"`
	Type, Description    string
	Plain, Secret        bool
	Items                *published
	AdditionalProperties *published
}

type pulumiPackage struct {
	Name, Version string
	Types         map[string]object
	Resources     map[string]object
}

func schemaOf(t *testing.T, version string) pulumiPackage {
	t.Helper()
	s, err := newServer(nil, version)
	assert.NilError(t, err)
	answer, err := s.GetSchema(t.Context(), &pulumirpc.GetSchemaRequest{})
	assert.NilError(t, err)
	var pkg pulumiPackage
	assert.NilError(t, json.Unmarshal([]byte(answer.GetSchema()), &pkg))
	return pkg
}

func TestTheSchemaHasTheVersionOfTheBuild(t *testing.T) {
	pkg := schemaOf(t, "1.2.3")
	assert.Equal(t, pkg.Name+" "+pkg.Version, "emqx 1.2.3")
	s, err := newServer(nil, "1.2.3")
	assert.NilError(t, err)
	info, err := s.GetPluginInfo(t.Context(), nil)
	assert.NilError(t, err)
	assert.Equal(t, info.GetVersion(), "1.2.3")
	_, err = s.GetSchema(t.Context(), &pulumirpc.GetSchemaRequest{Version: 1})
	assert.ErrorContains(t, err, "version 1 of schemas")
	_, err = s.Construct(t.Context(), &pulumirpc.ConstructRequest{Type: "emqx:index:Broker"})
	assert.ErrorContains(t, err, `"emqx:index:Broker"`)
}

// Every argument and output of the Go types is published as what it is, and nothing else.
func TestTheSchemaIsThatOfTheComponent(t *testing.T) {
	pkg := schemaOf(t, "1.2.3")
	cluster := pkg.Resources[components.ClusterType]
	assert.Assert(t, cluster.IsComponent && len(pkg.Resources) == 1)
	seen := map[string]bool{}
	sameAs(t, pkg, cluster.InputProperties, cluster.RequiredInputs, reflect.TypeFor[components.ClusterArgs](), seen)
	assert.Equal(t, len(seen), len(pkg.Types))

	outputs := 0
	for field := range reflect.TypeFor[components.Cluster]().Fields() {
		name, tagged := field.Tag.Lookup("pulumi")
		if !tagged {
			continue
		}
		outputs++
		kind := map[string]string{"StringOutput": "string", "StringMapOutput": "object", "StringArrayOutput": "array"}[field.Type.Name()]
		assert.Equal(t, cluster.Properties[name].Type, kind, name)
		assert.Assert(t, cluster.Properties[name].Description != "" && slices.Contains(cluster.Required, name), name)
	}
	assert.Assert(t, outputs > 0 && outputs == len(cluster.Properties))
}

func sameAs(t *testing.T, pkg pulumiPackage, got map[string]published, required []string, typ reflect.Type, seen map[string]bool) {
	t.Helper()
	fields := 0
	for field := range typ.Fields() {
		fields++
		name, optional, _ := strings.Cut(field.Tag.Get("pulumi"), ",")
		at := typ.Name() + "." + name
		p, there := got[name]
		assert.Assert(t, there && p.Description != "", at)
		assert.Equal(t, slices.Contains(required, name), optional == "", at)
		of := field.Type
		if of.Kind() == reflect.Pointer {
			of = of.Elem()
		}
		assert.Equal(t, p.Secret, field.Tag.Get("provider") == "secret", at)
		assert.Equal(t, p.Plain, of.Kind() != reflect.Interface && of.Kind() != reflect.Struct, at)
		switch of.Kind() {
		case reflect.Struct:
			token := packageName + ":index:" + strings.TrimSuffix(of.Name(), "Args")
			assert.Equal(t, p.Ref, "#/types/"+token, at)
			if !seen[token] {
				seen[token] = true
				sameAs(t, pkg, pkg.Types[token].Properties, pkg.Types[token].Required, of, seen)
			}
		case reflect.Slice:
			if of.Elem().Kind() == reflect.Struct {
				token := packageName + ":index:" + strings.TrimSuffix(of.Elem().Name(), "Args")
				assert.Equal(t, p.Items.Ref, "#/types/"+token, at)
				seen[token] = true
				sameAs(t, pkg, pkg.Types[token].Properties, pkg.Types[token].Required, of.Elem(), seen)
				continue
			}
			assert.Equal(t, p.Items.Type, schemaType(of.Elem()), at)
		case reflect.Map:
			assert.Equal(t, p.AdditionalProperties.Type, schemaType(of.Elem()), at)
		default:
			assert.Equal(t, p.Type, schemaType(of), at)
		}
	}
	assert.Equal(t, fields, len(got), typ.Name())
}

func schemaType(of reflect.Type) string {
	if of.Kind() == reflect.Interface {
		return map[string]string{"StringInput": "string", "StringMapInput": "object"}[of.Name()]
	}
	return map[reflect.Kind]string{reflect.String: "string", reflect.Int: "integer", reflect.Float64: "number", reflect.Bool: "boolean"}[of.Kind()]
}
