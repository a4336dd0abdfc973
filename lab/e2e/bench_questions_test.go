//go:build lab && bench

package e2e

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/infra/gates"
)

// costScript asks so many times, and prints the processor time that it all took in the
// task, in milliseconds: of what was started, and of the broker that answered.
const costScript = `
broker() {
  local p name total=0 f
  for p in /proc/[0-9]*; do
    { read -r name <"$p/comm" && read -ra f <"$p/stat"; } 2>/dev/null || continue
    [[ $name == emqx || $name == beam.smp ]] && ((total += (f[13] + f[14]) * 10))
  done
  echo "$total"
}
count=$1 before=$(broker)
for ((i = 0; i < count; i++)); do /bin/bash -c "$2" >/dev/null 2>&1; done
after=$(broker)
echo $((after - before))
times`

// TestBenchQuestions measures what the gates' question costs the node that is asked,
// beside the question that it replaced.
func TestBenchQuestions(t *testing.T) {
	b := newBed(t)
	b.must(t, "lab", "up")
	b.must(t, "up", "lab", "--yes")
	script, err := os.ReadFile("../../infra/gates/files/ask.sh")
	assert.NilError(t, err)
	client, err := gates.NewNomad(gates.NomadConfig{Address: "http://" + b.door + ":4646"})
	assert.NilError(t, err)
	alloc := running(t, nomadClient(t), emqxJob)[0].ID

	cost := func(count int, question string) float64 {
		r, err := client.Exec(t.Context(), alloc, "emqx", "/bin/bash", "-c", costScript, "cost", strconv.Itoa(count), question)
		assert.NilError(t, err)
		assert.Equal(t, r.Exit, 0, "%+v", r)
		ms, err := costOf(r.Stdout)
		assert.NilError(t, err, "%s", r.Stdout)
		return ms / float64(count)
	}
	ctl := cost(10, "emqx ctl cluster status --json")
	api := cost(100, string(script))
	table := newTable("question to a member", "ms of its processor", "of the first")
	table.row("`emqx ctl cluster status --json`", ctl, 1.0)
	table.row("the API and the metrics, as the gates ask", api, api/ctl)
	table.print(t)
	assert.Check(t, api < ctl/10, "%.1f ms and %.1f ms", api, ctl)
}

// costOf adds up the broker's milliseconds and the times of the shell's children.
func costOf(out string) (ms float64, err error) {
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != 3 {
		return 0, fmt.Errorf("%d lines", len(lines))
	}
	if ms, err = strconv.ParseFloat(lines[0], 64); err != nil {
		return 0, err
	}
	for _, field := range strings.Fields(lines[2]) {
		minutes, seconds, _ := strings.Cut(strings.TrimSuffix(field, "s"), "m")
		m, err := strconv.ParseFloat(minutes, 64)
		if err != nil {
			return 0, err
		}
		s, err := strconv.ParseFloat(seconds, 64)
		if err != nil {
			return 0, err
		}
		ms += (60*m + s) * 1000
	}
	return ms, nil
}
