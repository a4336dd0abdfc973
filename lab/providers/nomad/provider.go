package nomad

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/hashicorp/nomad/api"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"

	"github.com/emqx-oci/emqx-oci/lab/providers/rpc"
	"github.com/emqx-oci/emqx-oci/lab/providers/table"
)

// Version of the official plugin that this one stands for.
const Version = "2.6.1"

const (
	jobToken      = "nomad:index/job:Job"           //nolint:gosec // a type token, no credential
	variableToken = "nomad:index/variable:Variable" //nolint:gosec // a type token, no credential
)

//go:embed table.txt
var rows string

// Plugin is the provider; address is the server's when the program configures none.
func Plugin(address string) rpc.Plugin {
	return rpc.Plugin{
		Name:    "nomad",
		Version: Version,
		Schema:  table.MustParse(rows),
		Open:    func(config rpc.Props) (rpc.Client, error) { return open(address, config) },
		Check:   check,
	}
}

type client struct{ api *api.Client }

func open(address string, config rpc.Props) (rpc.Client, error) {
	text := func(key string) string { s, _ := config[key].(string); return s }
	if a := text("address"); a != "" {
		address = a
	}
	insecure, _ := config["skipVerify"].(bool)
	c := &api.Config{
		Address:  address,
		Region:   text("region"),
		SecretID: text("secretId"),
		TLSConfig: &api.TLSConfig{
			CACert: text("caFile"), CACertPEM: []byte(text("caPem")),
			ClientCert: text("certFile"), ClientCertPEM: []byte(text("certPem")),
			ClientKey: text("keyFile"), ClientKeyPEM: []byte(text("keyPem")),
			Insecure: insecure,
		},
		Headers: http.Header{},
	}
	if user, password, ok := strings.Cut(text("httpAuth"), ":"); user != "" {
		c.HttpAuth = &api.HttpBasicAuth{Username: user}
		if ok {
			c.HttpAuth.Password = password
		}
	}
	headers, _ := config["headers"].([]any)
	for _, h := range headers {
		if h, ok := h.(map[string]any); ok {
			c.Headers.Add(fmt.Sprint(h["name"]), fmt.Sprint(h["value"]))
		}
	}
	if config["authJwt"] != nil {
		return nil, errors.New("authJwt is not supported by the lab's nomad provider: use secretId")
	}
	n, err := api.NewClient(c)
	if err != nil {
		return nil, fmt.Errorf("making a client of Nomad at %s: %w", address, err)
	}
	return &client{n}, nil
}

func (c *client) Create(ctx context.Context, r *table.Resource, in rpc.Props) (string, rpc.Props, error) {
	if r.Token == variableToken {
		return c.writeVariable(ctx, in)
	}
	return c.registerJob(ctx, nil, in)
}

func (c *client) Read(ctx context.Context, r *table.Resource, id string, state rpc.Props) (rpc.Props, error) {
	if r.Token == variableToken {
		return c.readVariable(ctx, id, state)
	}
	return c.readJob(ctx, id, state)
}

func (c *client) Update(ctx context.Context, r *table.Resource, _ string, state, in rpc.Props) (rpc.Props, error) {
	if r.Token == variableToken {
		_, out, err := c.writeVariable(ctx, in)
		return out, err
	}
	_, out, err := c.registerJob(ctx, state, in)
	return out, err
}

func (c *client) Delete(ctx context.Context, r *table.Resource, id string, state rpc.Props) error {
	if r.Token == variableToken {
		return c.deleteVariable(ctx, id, state)
	}
	return c.deregisterJob(ctx, id, state)
}

func (c *client) query(ctx context.Context, namespace string) *api.QueryOptions {
	return (&api.QueryOptions{Namespace: namespace}).WithContext(ctx)
}

func (c *client) write(ctx context.Context, namespace string) *api.WriteOptions {
	return (&api.WriteOptions{Namespace: namespace}).WithContext(ctx)
}

// answered reports the status with which a server refused; false means that no
// server was reached.
func answered(err error) (status int, ok bool) {
	var u api.UnexpectedResponseError
	if errors.As(err, &u) && u.HasStatusCode() {
		return u.StatusCode(), true
	}
	return 0, false
}

func namespaceOf(p rpc.Props) string {
	if ns, _ := p["namespace"].(string); ns != "" {
		return ns
	}
	return api.DefaultNamespace
}

var variablePath = regexp.MustCompile(`^[a-zA-Z0-9-_~/]+$`)

// check is what the plugin validates beyond types.
func check(r *table.Resource, name string, news resource.PropertyMap) []string {
	if r.Token != variableToken {
		return nil
	}
	var out []string
	fail := func(key, format string, args ...any) {
		out = append(out, fmt.Sprintf(format, args...)+fmt.Sprintf(". Examine values at '%s.%s'.", name, key))
	}
	_, items := news["items"]
	_, writeOnly := news["itemsWo"]
	_, version := news["itemsWoVersion"]
	switch {
	case items && writeOnly:
		fail("items", "Invalid combination of arguments. \"items\": only one of `items,items_wo` can be specified, but `items,items_wo` were specified")
	case !items && !writeOnly:
		fail("items", "Invalid combination of arguments. \"items\": one of `items,items_wo` must be specified")
	}
	if writeOnly != version {
		fail("itemsWoVersion", "Missing required argument. \"items_wo\": all of `items_wo,items_wo_version` must be specified")
	}
	v := table.Plain(news["path"])
	if !v.IsString() {
		return out
	}
	path := v.StringValue()
	if len(path) > 128 {
		fail("path", "expected path length to be less than 128 but got a path length of %d", len(path))
	}
	if !variablePath.MatchString(path) {
		fail("path", "path %s contains invalid characters", path)
	}
	switch parts := strings.Split(path, "/"); {
	case parts[0] != "nomad" || len(parts) > 1 && parts[1] == "jobs":
	case len(parts) == 1:
		fail("path", "path of 'nomad' is a reserved top-level directory path")
	case parts[1] == "job-templates" && len(parts) == 3:
	case parts[1] == "job-templates":
		fail("path", "the path 'nomad/job-templates' is reserved, you may write variables at the level below it, for example, 'nomad/job-templates/template-name'")
	default:
		fail("path", "only paths at 'nomad/jobs' or 'nomad/job-templates' and below are valid paths under the top-level 'nomad' directory")
	}
	return out
}
