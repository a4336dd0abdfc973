//go:build lab && linux

package broker

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/internal/agenttest"
)

const truncate = `dns_config { enable_truncate = true }`

// consulLab is a lab whose names are in a real Consul: the list of members as the
// stack registers it, and a node for each.
func consulLab(t *testing.T, nodes int, config string) *lab {
	t.Helper()
	ports := agenttest.Ports(t, 2)
	agenttest.Consul(t, ports[0], fmt.Sprintf("-dns-port=%d", ports[1]), "-hcl="+config)
	api := fmt.Sprintf("http://127.0.0.1:%d", ports[0])
	agenttest.Await(t, api+"/v1/health/service/consul", `"srv"`)
	register := func(entry map[string]any) {
		t.Helper()
		raw, err := json.Marshal(entry)
		assert.NilError(t, err)
		req, err := http.NewRequest(http.MethodPut, api+"/v1/catalog/register", strings.NewReader(string(raw)))
		assert.NilError(t, err)
		resp, err := http.DefaultClient.Do(req)
		assert.NilError(t, err)
		_ = resp.Body.Close()
		assert.Equal(t, resp.StatusCode, http.StatusOK)
	}
	l := newLab(t, nodes)
	for i := range nodes {
		register(map[string]any{"Node": fmt.Sprintf("n%d", i), "Address": l.ip(i)})
		register(map[string]any{"Node": "members", "Address": "192.0.2.1", "Service": map[string]any{
			"ID": fmt.Sprint("member-", i), "Service": "emqx-cluster", "Tags": []string{"lab"}, "Port": 4370,
			"Address": fmt.Sprintf("n%d.node.dc1.consul", i),
		}})
	}
	l.domain, l.discovery = "node.dc1.consul", "lab.emqx-cluster.service.consul"
	l.resolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, network, fmt.Sprintf("127.0.0.1:%d", ports[1]))
	}}
	return l
}

// firstBoot starts all nodes at once, and returns how many members each of them sees
// when all have ended their discovery.
func (l *lab) firstBoot() []int {
	l.t.Helper()
	sizes, procs := make([]int, len(l.dirs)), make([]*proc, len(l.dirs))
	for i := range l.dirs {
		procs[i] = l.start(i)
	}
	for i, p := range procs {
		for end := time.Now().Add(time.Minute); !strings.Contains(p.out.String(), discoveryEnds); time.Sleep(20 * time.Millisecond) {
			assert.Assert(l.t, time.Now().Before(end), "node %d does not end its discovery", i)
		}
	}
	for i := range l.dirs {
		l.wantUp(i)
		out, code := l.ctl(i, "cluster", "status", "--json")
		assert.Equal(l.t, code, 0, out)
		sizes[i] = strings.Count(out, "emqx@")
	}
	return sizes
}

// Consul 1.22 answers three of N members, and does not say so, to one who asks as EMQX
// does. With enable_truncate it says so, and answers all by TCP.
func TestConsulGivesAllMembersOnlyWhenItSaysThatTheyAreMore(t *testing.T) {
	for _, nodes := range []int{5, 7} {
		for config, want := range map[string]int{"": 3, truncate: nodes} {
			l := consulLab(t, nodes, config)
			cfg, err := loadConfig(l.env(0))
			assert.NilError(t, err)
			n := &node{opts: l.options(0).withDefaults(), cfg: cfg, ctx: context.Background(), log: newLogger(&buffer{}, "debug")}
			for range 20 {
				hosts, err := n.hosts()
				assert.NilError(t, err)
				assert.Equal(t, len(hosts), want, "%d nodes, %q: %v", nodes, config, hosts)
			}
		}
	}
}

// First boots of five and of seven nodes beside a real Consul, with its own settings until
// one is split, as on the real EMQX (3 of 5), and with the line.
func TestFirstBootsAreSplitWithConsulsOwnSettings(t *testing.T) {
	for _, nodes := range []int{5, 7} {
		split := false
		for try := 0; try < 12 && !split; try++ {
			t.Run(fmt.Sprintf("%d nodes, try %d", nodes, try), func(t *testing.T) {
				for _, size := range consulLab(t, nodes, "").firstBoot() {
					split = split || size != nodes
				}
			})
		}
		assert.Assert(t, split, "%d nodes: no first boot was split", nodes)
		for try := range 3 {
			t.Run(fmt.Sprintf("%d nodes with the line, try %d", nodes, try), func(t *testing.T) {
				for i, size := range consulLab(t, nodes, truncate).firstBoot() {
					assert.Equal(t, size, nodes, "node %d", i)
				}
			})
		}
	}
}
