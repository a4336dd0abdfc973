package components

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/internals"

	"github.com/emqx-oci/emqx-oci/components/fault"
	"github.com/emqx-oci/emqx-oci/components/settings"
)

// NewCluster registers a cluster of typed args with everything that it stands on: see [DeclareCluster]. It comes back
// once its graph is declared, for which the values of its secrets have to be known; in a preview they may be unknown.
// Bad args are a [*fault.Error] with every fault, by its path ("nodes.count"), before anything is registered.
//
// Names of the resources in the cluster begin with the cluster's name, and their Nomad jobs, Consul entries and OCI
// display names hold its environment: several clusters of one program differ in both.
func NewCluster(ctx *pulumi.Context, name string, args *ClusterArgs, opts ...pulumi.ResourceOption) (*Cluster, error) {
	if args == nil {
		args = &ClusterArgs{}
	}
	s, err := args.settings(ctx)
	if err != nil {
		return nil, byArgument(err)
	}
	c, err := declareCluster(ctx, name, s, &Cluster{typed: true}, opts...)
	return c, byArgument(err)
}

// settings are the checked settings that the args stand for, with the defaults of what is left out.
func (a *ClusterArgs) settings(ctx *pulumi.Context) (settings.Settings, error) {
	environment := ctx.Stack()
	if a.Environment != nil {
		environment = *a.Environment
	}
	r := argsReader{ctx: ctx}
	groups := r.object(reflect.ValueOf(a).Elem(), "")
	if err := errors.Join(r.errs...); err != nil {
		return settings.Settings{}, err
	}
	delete(groups, "environment")
	if broker, ok := groups["broker"].(map[string]any); ok && r.unknown && r.secretEnv {
		// What is known of them is no less secret while something else is unknown.
		hidden := map[string]string{}
		for name := range asMap(broker["env"]) {
			hidden[name] = settings.Unknown
		}
		broker["env"] = hidden
	}
	texts := map[string]string{}
	for group, values := range groups {
		text, err := json.Marshal(values)
		if err != nil {
			return settings.Settings{}, fmt.Errorf("reading the argument %s: %w", group, err)
		}
		texts[settings.Project+":"+group] = string(text)
	}
	s, err := settings.Load(environment, settings.Source{
		Get:      func(key string) (string, bool) { text, ok := texts[key]; return text, ok },
		Keys:     []string{},
		IsSecret: func(string) bool { return r.secretEnv },
		Typed:    true,
		Offline:  r.unknown,
	})
	if r.unknown { // only a preview gets here
		s.StandInSecrets()
	}
	return s, err
}

func asMap(v any) map[string]string {
	m, _ := v.(map[string]string)
	return m
}

// argsReader turns args into what the settings are decoded from.
type argsReader struct {
	ctx  *pulumi.Context
	errs []error
	// secretEnv is set when a variable of the broker is a secret, unknown when a preview does not know a value.
	secretEnv, unknown bool
}

// object has the fields that are given, by their names.
func (r *argsReader) object(v reflect.Value, path string) map[string]any {
	values := map[string]any{}
	for field, value := range v.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("pulumi"), ",")
		if x, given := r.value(value, path+name); given {
			values[name] = x
		}
	}
	return values
}

func (r *argsReader) value(v reflect.Value, path string) (value any, given bool) {
	if v.Kind() == reflect.Interface {
		if v.IsNil() {
			return nil, false
		}
		return r.await(v.Interface().(pulumi.Input), path)
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return nil, false
		}
		return r.value(v.Elem(), path)
	case reflect.Struct:
		return r.object(v, path+"."), true
	case reflect.Slice:
		if v.Type().Elem().Kind() != reflect.Struct {
			return v.Interface(), v.Len() > 0
		}
		list := make([]any, v.Len())
		for i := range list {
			list[i] = r.object(v.Index(i), fmt.Sprintf("%s[%d].", path, i))
		}
		return list, v.Len() > 0
	case reflect.Map:
		return v.Interface(), v.Len() > 0
	case reflect.String: // one that is required and empty counts as not given
		return v.String(), v.Len() > 0
	default:
		return v.Interface(), true
	}
}

// await waits for a secret: the graph depends on what there is.
func (r *argsReader) await(in pulumi.Input, path string) (value any, given bool) {
	got, err := internals.UnsafeAwaitOutput(r.ctx.Context(), pulumi.ToOutput(in))
	switch {
	case err != nil:
		r.errs = append(r.errs, fmt.Errorf("reading the argument %s: %w", path, err))
		return nil, false
	case !got.Known:
		r.unknown = true
		if _, values := in.(pulumi.StringMapInput); values {
			r.secretEnv = true
			return nil, false
		}
		return settings.Unknown, true
	case got.Value == nil:
		return nil, false
	}
	r.secretEnv = r.secretEnv || got.Secret && path == "broker.env"
	return got.Value, true
}

// byArgument names faults by the paths of the args, which have no project.
func byArgument(err error) error {
	var e *fault.Error
	if !errors.As(err, &e) {
		return err
	}
	for i := range e.Faults {
		e.Faults[i].Path = strings.TrimPrefix(e.Faults[i].Path, settings.Project+":")
	}
	return err
}
