package nomad

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/hashicorp/nomad/api"

	"github.com/emqx-oci/emqx-oci/lab/providers/rpc"
)

// writeVariable puts the items, whatever was there: the plugin does not
// check-and-set either, so a variable that exists already is taken over.
func (c *client) writeVariable(ctx context.Context, in rpc.Props) (string, rpc.Props, error) {
	v := &api.Variable{Namespace: namespaceOf(in), Path: text(in["path"]), Items: api.VariableItems{}}
	if raw, ok := in["itemsWo"].(string); ok {
		if err := json.Unmarshal([]byte(raw), &v.Items); err != nil {
			return "", nil, fmt.Errorf("error decoding items_wo: %w", err)
		}
	}
	items, _ := in["items"].(map[string]any)
	for k, item := range items {
		v.Items[k] = text(item)
	}
	id := v.Path + "@" + v.Namespace
	if _, _, err := c.api.Variables().Create(v, c.write(ctx, v.Namespace)); err != nil {
		return "", nil, fmt.Errorf("error creating variable %s: %w", id, err)
	}
	out, err := c.readVariable(ctx, id, in)
	return id, out, err
}

func (c *client) readVariable(ctx context.Context, id string, state rpc.Props) (rpc.Props, error) {
	path, namespace := variableKey(id, state)
	v, _, err := c.api.Variables().Read(path, c.query(ctx, namespace))
	if status, ok := answered(err); errors.Is(err, api.ErrVariablePathNotFound) || ok && status == http.StatusNotFound {
		return nil, rpc.ErrGone
	}
	if err != nil {
		return nil, fmt.Errorf("error getting information about %s: %w", id, err)
	}
	out := rpc.Props{"path": v.Path, "namespace": v.Namespace}
	if _, writeOnly := state["itemsWoVersion"]; !writeOnly {
		items := map[string]any{}
		for k, item := range v.Items {
			items[k] = item
		}
		out["items"] = items
	}
	return out, nil
}

func (c *client) deleteVariable(ctx context.Context, id string, state rpc.Props) error {
	path, namespace := variableKey(id, state)
	if _, err := c.api.Variables().Delete(path, c.write(ctx, namespace)); err != nil {
		return fmt.Errorf("error deleting variable %s: %w", id, err)
	}
	return nil
}

// variableKey is from the state, or from the id (an import has no state).
func variableKey(id string, state rpc.Props) (path, namespace string) {
	if p, ok := state["path"].(string); ok {
		return p, namespaceOf(state)
	}
	path, namespace, _ = strings.Cut(id, "@")
	if namespace == "" {
		namespace = api.DefaultNamespace
	}
	return path, namespace
}

func text(v any) string {
	s, _ := v.(string)
	return s
}
