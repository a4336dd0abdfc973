package rest_test

import (
	"context"
	"errors"
	"maps"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/lab/cloud"
	"github.com/emqx-oci/emqx-oci/lab/providers/oci"
	"github.com/emqx-oci/emqx-oci/lab/providers/rpc"
)

// haste makes the provider repeat what is refused for a fraction of a second, and not two
// minutes.
const haste = 0.001

// providerDoor is the provider that Pulumi's engine attaches, without the engine.
type providerDoor struct {
	t      *testing.T
	plugin rpc.Plugin
	client rpc.Client
	states map[string]m // what the engine would keep
}

func openProvider(t *testing.T, c *cloud.Cloud) door {
	t.Helper()
	p := oci.Plugin(c, haste)
	client, err := p.Open(nil)
	assert.NilError(t, err)
	return providerDoor{t, p, client, map[string]m{}}
}

func (d providerDoor) create(token string, in m) (string, m, error) {
	r := d.plugin.Schema.Resources[token]
	id, out, err := d.client.Create(d.t.Context(), r, r.In.Canon(in))
	if err == nil {
		d.states[id] = out
	}
	return id, out, heard(err)
}

func (d providerDoor) read(token, id string) (m, error) {
	out, err := d.client.Read(d.t.Context(), d.plugin.Schema.Resources[token], id, d.states[id])
	return out, heard(err)
}

func (d providerDoor) update(token, id string, in m) (m, error) {
	r := d.plugin.Schema.Resources[token]
	out, err := d.client.Update(d.t.Context(), r, id, d.states[id], r.In.Canon(in))
	if err == nil {
		d.states[id] = out
	}
	return out, heard(err)
}

func (d providerDoor) remove(token, id string) error {
	return heard(d.client.Delete(d.t.Context(), d.plugin.Schema.Resources[token], id, d.states[id]))
}

func (d providerDoor) ask(function string, args m) ([]m, error) {
	out, err := d.client.Invoke(d.t.Context(), d.plugin.Schema.Functions[function], maps.Clone(args))
	if err != nil {
		return nil, heard(err)
	}
	delete(out, "filters")
	for key, v := range out {
		list, isList := v.([]any)
		if _, asked := args[key]; !isList || asked {
			continue
		}
		if key == "cidrBlocks" || key == "ipv4cidrBlocks" || len(list) > 0 && !isObject(list[0]) {
			continue
		}
		if len(list) == 1 && isObject(list[0]) && list[0].(m)["items"] != nil {
			list, _ = list[0].(m)["items"].([]any)
		}
		if all := objects(list); len(all) > 0 {
			return all, nil
		}
	}
	return []m{out}, nil
}

func isObject(v any) bool { _, ok := v.(m); return ok }

func objects(list []any) []m {
	var out []m
	for _, v := range list {
		if p, ok := v.(m); ok {
			out = append(out, p)
		}
	}
	return out
}

// heard is what the provider's error says.
func heard(err error) error {
	var service *cloud.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, rpc.ErrGone):
		return errGone
	case errors.As(err, &service):
		return &refusal{service.Status, service.Code, service.Message}
	case errors.Is(err, context.DeadlineExceeded):
		return errors.New("too late")
	}
	return err
}
