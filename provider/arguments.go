package main

import (
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/property"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components"
	"github.com/emqx-oci/emqx-oci/components/fault"
)

// arguments are a program's inputs in the shape that [components.ClusterArgs] can hold, or a [*fault.Error] with all
// that they cannot, by its path. The SDK by itself names no path, refuses a group that is an output, and drops what it
// does not know.
//
//   - A group that is a secret or an output as a whole hands that on to what is in it.
//   - A plain argument decides what the cluster consists of, and shows in plans: it may come from another resource,
//     when that one's output is known, but not be a secret.
func arguments(in property.Map) (property.Map, error) {
	var faults fault.List
	out := group(&faults, in, reflect.TypeFor[components.ClusterArgs](), "")
	return out, faults.Err()
}

// group has the fields of a struct type, which are its properties.
func group(f *fault.List, in property.Map, typ reflect.Type, path string) property.Map {
	fields := map[string]reflect.Type{}
	for field := range typ.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("pulumi"), ",")
		fields[name] = field.Type
	}
	out := map[string]property.Value{}
	for name, value := range in.AllStable {
		of, known := fields[name]
		switch {
		case !known:
			f.Add(path+name, "is no argument; known here: %s", strings.Join(slices.Sorted(maps.Keys(fields)), ", "))
		case !value.IsNull():
			out[name] = argument(f, value, of, path+name)
		}
	}
	return property.NewMap(out)
}

func argument(f *fault.List, v property.Value, typ reflect.Type, path string) property.Value {
	for typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	if typ.Implements(reflect.TypeFor[pulumi.Input]()) {
		return input(f, v, typ, path)
	}
	if typ.Kind() == reflect.Struct {
		if v.IsMap() {
			return property.New(group(f, handedOn(v), typ, path+"."))
		}
		if v.IsComputed() {
			return unknownGroup(f, v, typ, path)
		}
		return mismatch(f, v, path, "a group of arguments")
	}
	switch {
	case v.Secret():
		f.Add(path, "must be no secret: it shows in plans, in the state and in names")
		return v
	case v.IsComputed():
		f.Add(path, "is not known yet: what the cluster consists of depends on it, so another resource may give it only once that one exists")
		return v
	}
	return plain(f, v, typ, path)
}

// unknownGroup is a group of which nothing is known yet: it has what must be given, where all of it may be unknown.
func unknownGroup(f *fault.List, v property.Value, typ reflect.Type, path string) property.Value {
	of := map[string]property.Value{}
	for field := range typ.Fields() {
		if !field.Type.Implements(reflect.TypeFor[pulumi.Input]()) {
			f.Add(path, "is not known yet: give the group itself, and only what is secret in it as outputs")
			return v
		}
		if name, optional, _ := strings.Cut(field.Tag.Get("pulumi"), ","); optional == "" {
			of[name] = v
		}
	}
	return property.New(property.NewMap(of))
}

// input is a value that may be secret and unknown, as it comes.
func input(f *fault.List, v property.Value, typ reflect.Type, path string) property.Value {
	if v.IsComputed() || v.IsNull() {
		return v
	}
	if typ == reflect.TypeFor[pulumi.StringMapInput]() {
		if !v.IsMap() {
			return mismatch(f, v, path, "a group of names and texts")
		}
		for name, value := range v.AsMap().AllStable {
			input(f, value, reflect.TypeFor[pulumi.StringInput](), path+"."+name)
		}
		return v
	}
	if !v.IsString() {
		return mismatch(f, v, path, "a text")
	}
	return v
}

// plain is a known value without what came with it.
func plain(f *fault.List, v property.Value, typ reflect.Type, path string) property.Value {
	switch typ.Kind() {
	case reflect.String:
		if v.IsString() {
			return property.New(v.AsString())
		}
		return mismatch(f, v, path, "a text")
	case reflect.Bool:
		if v.IsBool() {
			return property.New(v.AsBool())
		}
		return mismatch(f, v, path, "true or false")
	case reflect.Float64, reflect.Int:
		if v.IsNumber() && (typ.Kind() == reflect.Float64 || v.AsNumber() == float64(int(v.AsNumber()))) {
			return property.New(v.AsNumber())
		}
		return mismatch(f, v, path, map[reflect.Kind]string{reflect.Float64: "a number", reflect.Int: "a whole number"}[typ.Kind()])
	case reflect.Slice:
		if !v.IsArray() {
			return mismatch(f, v, path, "a list")
		}
		var list []property.Value
		for i, item := range v.AsArray().All {
			list = append(list, argument(f, item, typ.Elem(), path+"["+strconv.Itoa(i)+"]"))
		}
		return property.New(property.NewArray(list))
	default: // a map
		if !v.IsMap() {
			return mismatch(f, v, path, "a group of names and values")
		}
		named := map[string]property.Value{}
		for name, item := range v.AsMap().AllStable {
			named[name] = argument(f, item, typ.Elem(), path+"."+name)
		}
		return property.New(property.NewMap(named))
	}
}

// handedOn are the values of a group with what holds for the group.
func handedOn(v property.Value) property.Map {
	inner := map[string]property.Value{}
	for name, value := range v.AsMap().All {
		if v.Secret() {
			value = value.WithSecret(true)
		}
		inner[name] = value.WithDependencies(append(value.Dependencies(), v.Dependencies()...))
	}
	return property.NewMap(inner)
}

// mismatch says what is wanted instead of a value, which may be a secret.
func mismatch(f *fault.List, v property.Value, path, want string) property.Value {
	f.Add(path, "must be %s", want)
	return v
}
