package consul

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/hashicorp/consul/api"

	"github.com/emqx-oci/emqx-oci/lab/providers/rpc"
	"github.com/emqx-oci/emqx-oci/lab/providers/table"
)

// Version of the official plugin that this one stands for.
const Version = "3.11.3"

//go:embed table.txt
var rows string

// Plugin is the provider; address is the agent's when the program configures none.
func Plugin(address string) rpc.Plugin {
	return rpc.Plugin{
		Name:    "consul",
		Version: Version,
		Schema:  table.MustParse(rows),
		Open:    func(config rpc.Props) (rpc.Client, error) { return open(address, config) },
	}
}

type client struct {
	api        *api.Client
	datacenter string // configured, "" for the agent's
}

func open(address string, config rpc.Props) (rpc.Client, error) {
	if a := text(config["address"]); a != "" {
		address = a
	}
	insecure, _ := config["insecureHttps"].(bool)
	c := &api.Config{
		Address:    address,
		Scheme:     text(config["scheme"]),
		Datacenter: text(config["datacenter"]),
		Token:      text(config["token"]),
		Namespace:  text(config["namespace"]),
		TLSConfig: api.TLSConfig{
			CAFile: text(config["caFile"]), CAPath: text(config["caPath"]), CAPem: pem(config["caPem"]),
			CertFile: text(config["certFile"]), CertPEM: pem(config["certPem"]),
			KeyFile: text(config["keyFile"]), KeyPEM: pem(config["keyPem"]),
			InsecureSkipVerify: insecure,
		},
	}
	if user, password, _ := strings.Cut(text(config["httpAuth"]), ":"); user != "" {
		c.HttpAuth = &api.HttpBasicAuth{Username: user, Password: password}
	}
	if config["authJwt"] != nil {
		return nil, errors.New("authJwt is not supported by the lab's consul provider: use token")
	}
	n, err := api.NewClient(c)
	if err != nil {
		return nil, fmt.Errorf("making a client of Consul at %s: %w", address, err)
	}
	headers := http.Header{}
	for _, h := range objects(config["headers"]) {
		headers.Add(text(h["name"]), text(h["value"]))
	}
	if len(headers) > 0 {
		n.SetHeaders(headers)
	}
	return &client{n, text(config["datacenter"])}, nil
}

func pem(v any) []byte {
	if s := text(v); s != "" {
		return []byte(s)
	}
	return nil
}

// kind is one resource type.
type kind interface {
	create(ctx context.Context, in rpc.Props) (string, rpc.Props, error)
	read(ctx context.Context, id string, state rpc.Props) (rpc.Props, error)
	update(ctx context.Context, state, in rpc.Props) (rpc.Props, error)
	remove(ctx context.Context, id string, state rpc.Props) error
}

func (c *client) kind(r *table.Resource) kind {
	switch r.Token {
	case "consul:index/keys:Keys":
		return keys{c}
	case "consul:index/keyPrefix:KeyPrefix":
		return prefix{c}
	case "consul:index/node:Node":
		return node{c}
	default:
		return service{c}
	}
}

func (c *client) Create(ctx context.Context, r *table.Resource, in rpc.Props) (string, rpc.Props, error) {
	return c.kind(r).create(ctx, in)
}

func (c *client) Read(ctx context.Context, r *table.Resource, id string, state rpc.Props) (rpc.Props, error) {
	return c.kind(r).read(ctx, id, state)
}

func (c *client) Update(ctx context.Context, r *table.Resource, _ string, state, in rpc.Props) (rpc.Props, error) {
	for _, computed := range []string{"datacenter", "serviceId"} { // chosen at creation
		if _, ok := in[computed]; !ok && state[computed] != nil {
			in[computed] = state[computed]
		}
	}
	return c.kind(r).update(ctx, state, in)
}

func (c *client) Delete(ctx context.Context, r *table.Resource, id string, state rpc.Props) error {
	return c.kind(r).remove(ctx, id, state)
}

// dc is the datacenter that props name, else the provider's, else the agent's own.
func (c *client) dc(props rpc.Props) (string, error) {
	if dc := text(props["datacenter"]); dc != "" {
		return dc, nil
	}
	if c.datacenter != "" {
		return c.datacenter, nil
	}
	self, err := c.api.Agent().Self()
	if err != nil {
		if strings.HasSuffix(err.Error(), "403 (Permission denied)") {
			return "", nil
		}
		return "", fmt.Errorf("failed to get datacenter from Consul agent: %w", err)
	}
	dc, _ := self["Config"]["Datacenter"].(string)
	return dc, nil
}

func (c *client) read(ctx context.Context, dc string, props rpc.Props) *api.QueryOptions {
	return (&api.QueryOptions{
		Datacenter: dc, Token: text(props["token"]),
		Namespace: text(props["namespace"]), Partition: text(props["partition"]),
	}).WithContext(ctx)
}

func (c *client) write(ctx context.Context, dc string, props rpc.Props) *api.WriteOptions {
	return (&api.WriteOptions{
		Datacenter: dc, Token: text(props["token"]),
		Namespace: text(props["namespace"]), Partition: text(props["partition"]),
	}).WithContext(ctx)
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

func number(v any) int {
	n, _ := v.(float64)
	return int(n)
}

func objects(v any) []map[string]any {
	all, _ := v.([]any)
	var out []map[string]any
	for _, e := range all {
		if m, ok := e.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}

func texts(v any) []string {
	all, _ := v.([]any)
	var out []string
	for _, e := range all {
		out = append(out, text(e))
	}
	return out
}

func textMap(v any) map[string]string {
	all, _ := v.(map[string]any)
	out := make(map[string]string, len(all))
	for k, e := range all {
		out[k] = text(e)
	}
	return out
}
