package orchestrate

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"
)

var (
	lockText = regexp.MustCompile(`created by (\S+)@(\S+) \(pid (\d+)\) at (\S+)`)
	busyText = []string{"the stack is currently locked by", "Another update is currently in progress"}
)

// locks reads who holds the stack from the engine's complaint; ok is false when it complains of something else.
func locks(text string) (found []Lock, ok bool) {
	for _, s := range busyText {
		ok = ok || strings.Contains(text, s)
	}
	if !ok {
		return nil, false
	}
	host, _ := os.Hostname()
	for _, m := range lockText.FindAllStringSubmatch(text, -1) {
		l := Lock{User: m[1], Host: m[2]}
		l.PID, _ = strconv.Atoi(m[3])
		l.Since, _ = time.Parse(time.RFC3339, m[4])
		if l.Host == host {
			_, alive := startedAt(l.PID)
			l.Gone = !alive
		}
		found = append(found, l)
	}
	return found, true
}

// claim is what the locks of a stack mean to this run.
type claim int

const (
	foreign   claim = iota // somebody else's, or one we know nothing of
	stale                  // all of killed runs of our own
	finishing              // of a killed run of our own, whose engine still finishes its last operation
)

// claimOf compares the locks with the processes that this stage recorded. Only those: a pid on its own says little, for
// hosts share names and pids are given away again.
func claimOf(held []Lock, own map[int]run) claim {
	host, _ := os.Hostname()
	verdict := stale
	if len(held) == 0 {
		return foreign
	}
	for _, l := range held {
		r, known := own[l.PID]
		switch {
		case !known || l.Host != host:
			return foreign
		case !r.alive():
		case r.orphaned():
			verdict = finishing
		default:
			return foreign
		}
	}
	return verdict
}
