package gates

import (
	"errors"
	"slices"
	"testing"

	nomad "github.com/hashicorp/nomad/api"
	"gotest.tools/v3/assert"
)

// Members that count each other in, and pass /status, may accept no MQTT.
func TestClusterFormedAsksEachListener(t *testing.T) {
	const well = "ws ok\nmqtt ok\nmqtts ok\nwss ok\n"
	for _, c := range []struct {
		name  string
		one   ExecResult // of emqx-lab-1
		err   error
		holds bool
		seen  string
		next  string
	}{
		{name: "all stand", one: ExecResult{Stdout: well}, holds: true, seen: "3/3 EMQX nodes running"},
		{
			name: "one is off", one: ExecResult{Stdout: "ws ok\nmqtt refuses connections at 10.80.1.11:21883\nmqtts takes connections at 10.80.1.11:21884 and answers nothing\n", Exit: 2},
			seen: "3/3 EMQX nodes running, but not all listeners stand: emqx-lab.emqx[1]: mqtt refuses connections at 10.80.1.11:21883; " +
				"emqx-lab.emqx[1]: mqtts takes connections at 10.80.1.11:21884 and answers nothing",
			next: NextOfListener("emqx", "a1-4-00000000"),
		},
		{
			name: "one is late", one: ExecResult{Stdout: "ws late: no answer from 10.80.1.11:21983 in time\nmqtt ok\n", Exit: 1},
			seen: "3/3 EMQX nodes running, but whether their listeners stand is not known: emqx-lab.emqx[1]: ws: no answer from 10.80.1.11:21983 in time",
		},
		{
			name: "nobody knows", err: errors.New("session lost"),
			seen: "3/3 EMQX nodes running, but whether their listeners stand is not known: emqx-lab.emqx[1]: session lost",
		},
		{
			name: "no script can run", one: ExecResult{Stderr: "bash: not found", Exit: 127},
			seen: "3/3 EMQX nodes running, but whether their listeners stand is not known: emqx-lab.emqx[1]: the script ends with exit code 127: bash: not found",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &fakeNomad{job: labJob(4), deployments: []*nomad.Deployment{labDeployment(4, "successful")}, allocs: threeAllocs(4)}
			f.exec = func(alloc, task string, command []string) (ExecResult, error) {
				if !slices.Contains(command, "the script") {
					return whole(alloc, task, command)
				}
				if alloc == "a1-4-00000000" {
					return c.one, c.err
				}
				return ExecResult{Stdout: well}, nil
			}
			s, err := once(t, ClusterFormed(f, ClusterFormedArgs{Job: "emqx-lab", Nodes: labNodes, Text: wanted, Listeners: "the script"}))
			assert.NilError(t, err)
			assert.Equal(t, s.Holds, c.holds)
			assert.Equal(t, s.Seen, c.seen)
			assert.Equal(t, s.Next, c.next)
		})
	}
}
