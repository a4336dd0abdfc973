package consul

import (
	"context"
	"fmt"
	"maps"
	"strings"

	"github.com/hashicorp/consul/api"

	"github.com/emqx-oci/emqx-oci/lab/providers/rpc"
)

// keys are some keys, each on its own. A key without `delete` stays behind.
type keys struct{ *client }

func (k keys) create(ctx context.Context, in rpc.Props) (string, rpc.Props, error) {
	out, err := k.update(ctx, nil, in)
	// There is no id in Consul for a handful of keys; the plugin's is this word.
	return "consul", out, err
}

func (k keys) update(ctx context.Context, state, in rpc.Props) (rpc.Props, error) {
	dc, err := k.dc(in)
	if err != nil {
		return nil, err
	}
	w := k.write(ctx, dc, in)
	kept := map[string]bool{}
	// New ones first: a moved value is never away.
	for _, key := range objects(in["keys"]) {
		path := text(key["path"])
		kept[path] = true
		if value := text(key["value"]); value != "" {
			if err := k.put(path, value, number(key["flags"]), w); err != nil {
				return nil, err
			}
		}
	}
	for _, key := range objects(state["keys"]) {
		if remove, _ := key["delete"].(bool); remove && !kept[text(key["path"])] {
			if err := k.drop(text(key["path"]), w); err != nil {
				return nil, err
			}
		}
	}
	with := maps.Clone(in)
	with["datacenter"] = dc
	return k.read(ctx, "", with)
}

func (k keys) read(ctx context.Context, _ string, state rpc.Props) (rpc.Props, error) {
	dc, err := k.dc(state)
	if err != nil {
		return nil, err
	}
	q := k.client.read(ctx, dc, state)
	all, vars := []any{}, map[string]any{}
	for _, key := range objects(state["keys"]) {
		now := maps.Clone(key)
		path := text(key["path"])
		pair, _, err := k.api.KV().Get(path, q)
		if err != nil {
			return nil, fmt.Errorf("failed to read Consul key '%s': %w", path, err)
		}
		value := text(key["default"])
		if pair != nil {
			if len(pair.Value) > 0 {
				value = string(pair.Value)
			}
			if _, given := key["flags"]; given || pair.Flags != 0 {
				now["flags"] = float64(pair.Flags)
			}
		}
		if name := text(key["name"]); name != "" {
			vars[name] = value
		}
		if text(key["value"]) != "" {
			now["value"] = value
		}
		all = append(all, now)
	}
	return rpc.Props{"datacenter": dc, "keys": all, "var": vars}, nil
}

func (k keys) remove(ctx context.Context, _ string, state rpc.Props) error {
	dc, err := k.dc(state)
	if err != nil {
		return err
	}
	for _, key := range objects(state["keys"]) {
		if remove, _ := key["delete"].(bool); remove {
			if err := k.drop(text(key["path"]), k.write(ctx, dc, state)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *client) put(path, value string, flags int, w *api.WriteOptions) error {
	pair := &api.KVPair{Key: path, Value: []byte(value), Flags: uint64(flags)} //nolint:gosec // checked to be a whole number; Consul takes any
	if _, err := c.api.KV().Put(pair, w); err != nil {
		return fmt.Errorf("failed to write Consul key '%s': %w", path, err)
	}
	return nil
}

func (c *client) drop(path string, w *api.WriteOptions) error {
	if _, err := c.api.KV().Delete(path, w); err != nil {
		return fmt.Errorf("failed to delete Consul key '%s': %w", path, err)
	}
	return nil
}

// prefix owns everything under a path.
type prefix struct{ *client }

type subkey struct {
	value string
	flags int
}

func subkeys(in rpc.Props) map[string]subkey {
	all := map[string]subkey{}
	for k, v := range textMap(in["subkeys"]) {
		all[k] = subkey{value: v}
	}
	for _, s := range objects(in["subkeyCollection"]) {
		all[text(s["path"])] = subkey{text(s["value"]), number(s["flags"])}
	}
	return all
}

func (p prefix) create(ctx context.Context, in rpc.Props) (string, rpc.Props, error) {
	dc, err := p.dc(in)
	if err != nil {
		return "", nil, err
	}
	path := text(in["pathPrefix"])
	there, _, err := p.api.KV().Keys(path, "", p.client.read(ctx, dc, in))
	if err != nil {
		return "", nil, fmt.Errorf("failed to list Consul keys under prefix '%s': %w", path, err)
	}
	if len(there) > 0 {
		return "", nil, fmt.Errorf("%d keys already exist under %s; delete them before managing this prefix with Terraform", len(there), path)
	}
	out, err := p.update(ctx, nil, in)
	return path, out, err
}

func (p prefix) update(ctx context.Context, state, in rpc.Props) (rpc.Props, error) {
	dc, err := p.dc(in)
	if err != nil {
		return nil, err
	}
	path, w := text(in["pathPrefix"]), p.write(ctx, dc, in)
	want := subkeys(in)
	for name, s := range want {
		if err := p.put(path+name, s.value, s.flags, w); err != nil {
			return nil, err
		}
	}
	for name := range subkeys(state) {
		if _, keep := want[name]; !keep {
			if err := p.drop(path+name, w); err != nil {
				return nil, err
			}
		}
	}
	with := maps.Clone(in)
	with["datacenter"] = dc
	return p.read(ctx, path, with)
}

func (p prefix) read(ctx context.Context, id string, state rpc.Props) (rpc.Props, error) {
	dc, err := p.dc(state)
	if err != nil {
		return nil, err
	}
	pairs, _, err := p.api.KV().List(id, p.client.read(ctx, dc, state))
	if err != nil {
		return nil, fmt.Errorf("failed to list Consul keys under prefix '%s': %w", id, err)
	}
	structured := map[string]bool{}
	for _, s := range objects(state["subkeyCollection"]) {
		structured[text(s["path"])] = true
	}
	plain, collection := map[string]any{}, []any{}
	for _, pair := range pairs {
		name := strings.TrimPrefix(pair.Key, id)
		if structured[name] {
			collection = append(collection, map[string]any{"path": name, "value": string(pair.Value), "flags": float64(pair.Flags)})
		} else {
			plain[name] = string(pair.Value)
		}
	}
	return rpc.Props{"pathPrefix": id, "datacenter": dc, "subkeys": plain, "subkeyCollection": collection}, nil
}

func (p prefix) remove(ctx context.Context, id string, state rpc.Props) error {
	dc, err := p.dc(state)
	if err != nil {
		return err
	}
	if _, err := p.api.KV().DeleteTree(id, p.write(ctx, dc, state)); err != nil {
		return fmt.Errorf("failed to delete Consul keys under prefix '%s': %w", id, err)
	}
	return nil
}
