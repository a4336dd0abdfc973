package gates

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"gotest.tools/v3/assert"
)

// servers are both APIs at these addresses.
func servers(t *testing.T, nomad, consul string) []Server {
	t.Helper()
	n, err := NewNomad(NomadConfig{Address: nomad})
	assert.NilError(t, err)
	c, err := NewConsul(ConsulConfig{Address: consul})
	assert.NilError(t, err)
	return []Server{{Setting: "emqx-oci:nomad.address", Leader: n.Leader}, {Setting: "emqx-oci:consul.address", Leader: c.Leader}}
}

// answerLimit is for servers that answer: on a busy machine one may take a second.
const answerLimit = 30 * time.Second

func TestReachable(t *testing.T) {
	const closed = "http://127.0.0.1:1"
	leader := answering(t, http.StatusOK, `"10.0.0.1:4647"`)
	const rest = "; the preview is blind there, and an update would fail: " +
		"mend the address, or open a way to it from here (VPN, tunnel, firewall)"
	refused := " at http://127.0.0.1:1: dial tcp 127.0.0.1:1: connect: connection refused" + rest
	for name, c := range map[string]struct {
		nomad, consul string
		want          []string
	}{
		"both answer": {leader, leader, nil},
		"both away": {closed, closed, []string{
			"emqx-oci:nomad.address: cannot reach Nomad" + refused, "emqx-oci:consul.address: cannot reach Consul" + refused,
		}},
		"no Consul":      {leader, closed, []string{"emqx-oci:consul.address: cannot reach Consul" + refused}},
		"silent":         {silent(t), silent(t), []string{"emqx-oci:nomad.address: cannot reach Nomad at http://127.0.0.1:", "emqx-oci:consul.address: cannot reach Consul at http://127.0.0.1:"}},
		"no name":        {"http://nomad.invalid:4646", leader, []string{"emqx-oci:nomad.address: cannot reach Nomad at http://nomad.invalid:4646: "}},
		"no leader":      {answering(t, 500, "No cluster leader"), answering(t, 200, `""`), []string{"No cluster leader", "elected no leader" + rest}},
		"nobody's":       {answering(t, 200, `""`), leader, []string{"elected no leader" + rest}},
		"something else": {answering(t, 200, "<html>"), answering(t, 404, "who?"), []string{"emqx-oci:nomad.address: reading the leader from Nomad at", "who?"}},
	} {
		t.Run(name, func(t *testing.T) {
			begin, limit := time.Now(), answerLimit
			if name == "silent" || name == "no name" { // nobody answers, so it takes all of the time
				limit = time.Second
			}
			err := reachableAll(t.Context(), limit, servers(t, c.nomad, c.consul))
			assert.Assert(t, time.Since(begin) < limit*19/10, "asked one after the other: %s", time.Since(begin))
			if c.want == nil {
				assert.NilError(t, err)
				return
			}
			lines := strings.Split(err.Error(), "\n")
			assert.Equal(t, len(lines), len(c.want), "%v", err)
			for i, want := range c.want {
				assert.Assert(t, strings.Contains(lines[i], want), "%q in %q", want, lines[i])
			}
		})
	}
}

func TestOnlyPreviewsAskWhetherServersAnswer(t *testing.T) {
	asked := 0
	s := Server{Setting: "x", Leader: func(ctx context.Context) error {
		asked++
		deadline, ok := ctx.Deadline()
		assert.Assert(t, ok && time.Until(deadline) <= 3*time.Second)
		return nil
	}}
	for _, preview := range []bool{false, true} {
		assert.NilError(t, runMocked(preview, func(ctx *pulumi.Context) error { return Reachable(ctx, s) }))
	}
	assert.Equal(t, asked, 1)
}

func TestAMissingNamespaceEndsThePreview(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		want   string
	}{
		"there":              {http.StatusOK, ""},
		"no right to see it": {http.StatusForbidden, ""},
		"none":               {http.StatusNotFound, `emqx-oci:nomad.namespace: must exist: Nomad at %s has no namespace "iot"; make it with: nomad namespace apply iot`},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/v1/namespace/iot" {
					w.WriteHeader(c.status)
					_, _ = w.Write([]byte(`{"Name": "iot"}`))
					return
				}
				_, _ = w.Write([]byte(`"10.0.0.1:4647"`))
			}))
			t.Cleanup(server.Close)
			n, err := NewNomad(NomadConfig{Address: server.URL, Namespace: "iot"})
			assert.NilError(t, err)
			err = reachableAll(t.Context(), answerLimit, []Server{{
				Setting: "emqx-oci:nomad.address", Leader: n.Leader, Part: "emqx-oci:nomad.namespace", Has: n.Namespace,
			}})
			if c.want == "" {
				assert.NilError(t, err)
				return
			}
			assert.Error(t, err, fmt.Sprintf(c.want, server.URL))
		})
	}
}
