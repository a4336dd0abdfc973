package gates

import (
	"testing"
	"time"

	nomad "github.com/hashicorp/nomad/api"
	"gotest.tools/v3/assert"
)

// As a real Nomad 1.11.3 left HAProxy of an instance whose power came back: called running
// by everybody, with a container that had ended, for ten minutes and until its agent was
// restarted.
func TestATaskThatNomadNeverStarts(t *testing.T) {
	event := func(typ string, ago time.Duration) *nomad.TaskEvent {
		return &nomad.TaskEvent{Type: typ, Time: time.Now().Add(-ago).UnixNano()}
	}
	before := []*nomad.TaskEvent{event(nomad.TaskReceived, time.Hour), event(nomad.TaskStarted, time.Hour)}
	for name, c := range map[string]struct {
		state string
		then  []*nomad.TaskEvent
		want  bool
	}{
		"runs":                      {"running", nil, false},
		"received again":            {"running", []*nomad.TaskEvent{event(nomad.TaskReceived, time.Minute)}, true},
		"received again, unhealthy": {"running", []*nomad.TaskEvent{event(nomad.TaskReceived, 5*time.Minute), event("Alloc Unhealthy", time.Minute)}, true},
		"received a moment ago":     {"running", []*nomad.TaskEvent{event(nomad.TaskReceived, time.Second)}, false},
		"reconnected":               {"running", []*nomad.TaskEvent{event(nomad.TaskReceived, time.Minute), event("Reconnected", time.Minute)}, false},
		"started again":             {"running", []*nomad.TaskEvent{event(nomad.TaskReceived, time.Minute), event(nomad.TaskStarted, time.Minute)}, false},
		"about to start":            {"pending", []*nomad.TaskEvent{event(nomad.TaskReceived, time.Minute)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			task := &nomad.TaskState{State: c.state, Events: append(before[:2:2], c.then...)}
			assert.Equal(t, NeverStarted(task), c.want)
			if c.want {
				assert.Equal(t, TaskReason(task), "received by Nomad's agent again, and never started (`systemctl restart nomad` on the node)")
			}
		})
	}
}
