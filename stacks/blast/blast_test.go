package blast

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"
	"gotest.tools/v3/golden"

	"github.com/emqx-oci/emqx-oci/stacks/settings"
)

// plan reads a plan that a preview on the lab gave.
func plan(t testing.TB, name string) []Change {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name+".jsonl"))
	assert.NilError(t, err)
	defer func() { assert.NilError(t, f.Close()) }()
	changes := []Change{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var c Change
		assert.NilError(t, json.Unmarshal(lines.Bytes(), &c))
		changes = append(changes, c)
	}
	assert.NilError(t, lines.Err())
	return changes
}

// lab are the settings of the plans, but with the times of a real deployment.
func lab() settings.Settings {
	s := settings.Settings{Environment: "lab", Cloud: "oci"}
	s.Nodes.Count = 3
	s.Network.ClientCIDRs = []string{"203.0.113.0/24"}
	s.Broker.ShutdownDelay, s.Broker.KillTimeout, s.Broker.MinHealthyTime = 45*time.Second, 150*time.Second, 15*time.Second
	s.Proxy.ShutdownDelay, s.Proxy.KillTimeout, s.Proxy.MinHealthyTime = 40*time.Second, 60*time.Second, 15*time.Second
	s.DNS.Name, s.DNS.TTL = "mqtt.lab.test", 60
	return s
}

func TestReports(t *testing.T) {
	nodes := map[string]int{"scale-out": 5, "scale-in": 2, "combo": 4}
	plans, err := filepath.Glob("testdata/*.jsonl")
	assert.NilError(t, err)
	assert.Assert(t, len(plans) > 20)
	for _, file := range plans {
		name := strings.TrimSuffix(filepath.Base(file), ".jsonl")
		t.Run(name, func(t *testing.T) {
			s := lab()
			if n := nodes[name]; n > 0 {
				s.Nodes.Count = n
			}
			if name == "cidrs" {
				s.Network.ClientCIDRs = []string{"203.0.113.0/25"}
			}
			var text bytes.Buffer
			assert.NilError(t, Assess(plan(t, name), s).Text(&text, false))
			golden.Assert(t, text.String(), name+".txt")
		})
	}
}
