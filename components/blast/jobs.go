package blast

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/emqx-oci/emqx-oci/components/blast/phrase"
)

// Job is what is known of one of Nomad's jobs, to tell what its changes do.
type Job struct {
	// Program is what runs in it: "EMQX".
	Program string
	// InPlace are variables of its own whose change restarts nothing, such as those that the program
	// does not read from its environment.
	InPlace []string
	// Bulky are words for variables whose value no sentence holds.
	Bulky map[string]string
}

// inPlace are the variables whose change Nomad takes over without a restart
// (scheduler/util.go, tasksUpdated): counts, and the pace of a deployment. What happens when an
// allocation stops is among them where the program does not read it from its environment.
var inPlace = []string{"node_count", "min_healthy_time", "healthy_deadline", "progress_deadline"}

// bulky are the words for variables that jobs have in common.
var bulky = map[string]string{"ports": "ports", "run": "the script that runs it"}

// flags of the resource say how the job is registered, not what it is.
var flags = []string{"detach", "rerunIfDead", "purgeOnDestroy", "deregisterOnDestroy", "deregisterOnIdChange", "policyOverride", "readAllocationIds"}

// theText is how a job's text stands among the reasons.
const theText = "the job's text"

// Verdict is what an update of a job does to its running allocations.
type Verdict struct {
	Restarts bool
	// Moves: the job is registered elsewhere, and the old one stopped.
	Moves bool
	// Why are the reasons for it, in words; Quiet are the changes beside them.
	Why, Quiet []string
	// Doubts are sentences on what is assumed, as Nomad alone can tell.
	Doubts []string
}

// judge goes by what differs.
func (j Job) judge(c *Change) Verdict {
	var v Verdict
	for i := range c.Diffs {
		d := &c.Diffs[i]
		name, isVar := strings.CutPrefix(d.Path, "hcl2.vars.")
		words := d.Words(strings.ReplaceAll(name, "_", " "))
		switch {
		case d.Path == "jobspec":
			words = theText
		case bulky[name] != "":
			words = bulky[name]
		case j.Bulky[name] != "":
			words = j.Bulky[name]
		}
		switch {
		case d.Path == "jobspec" && sameButComments(d.Old, d.New):
			v.Quiet = append(v.Quiet, "comments in its text")
		case slices.Contains(flags, d.Path),
			isVar && (slices.Contains(inPlace, name) || slices.Contains(j.InPlace, name)):
			v.Quiet = append(v.Quiet, words)
		case isVar && (name == "namespace" || name == "region"):
			v.Moves, v.Restarts = true, true
			v.Why = append(v.Why, words)
		default:
			v.Restarts = true
			v.Why = append(v.Why, words)
		}
	}
	return v
}

// Effect is what an update of a job does, by Nomad's word where it gave one: it compares
// what both texts come to, with all that is registered.
func (j Job) Effect(c *Change) Verdict {
	v := j.judge(c)
	if c.Outlook == nil && slices.Contains(v.Why, theText) {
		v.Doubts = []string{"Nomad compares what the job's text comes to: where that is the same as before, nothing restarts."}
	}
	if c.Outlook == nil || c.Op != Update || v.Moves || len(c.Diffs) == 0 {
		return v
	}
	v.Restarts = len(c.Outlook.Restarted) > 0
	switch {
	case v.Restarts && len(v.Why) == 0:
		v.Why, v.Quiet = v.Quiet, nil
	case !v.Restarts:
		v.Quiet, v.Why = append(v.Why, v.Quiet...), nil
	}
	return v
}

// Restarting are the nodes whose allocation an update of a job restarts: all that stay, where
// Nomad was not asked.
func (a *Assessment) Restarting(c *Change) []string {
	if c.Outlook != nil && c.Op == Update && len(c.Outlook.Restarted) > 0 {
		return c.Outlook.Restarted
	}
	return a.Staying()
}

// TakenOver tells whether allocations of a job that run get its new version, and are watched
// with it.
func (c *Change) TakenOver() bool { return c.Outlook == nil || c.Outlook.InPlace > 0 }

// AddJobDetails adds to the last line, which is of this change of a job, what Nomad starts, stops
// and forgets with it.
func (a *Assessment) AddJobDetails(c *Change, j Job) {
	l := &a.report.Lines[len(a.report.Lines)-1]
	if c.Outlook != nil && c.Op == Update {
		a.strays(l, c.Outlook, j.Program)
	}
	if c.Outside {
		// The official provider compares versions only where the job's text changes, and most
		// changes are of its variables.
		l.Severity = Worse(l.Severity, Notice)
		l.Details = append(l.Details, "Nomad runs another version of the job than the stack registered: somebody changed it, or Nomad went back to an "+
			"earlier one. This update takes its place; `nomad job history -p "+c.ID+"` shows what it was.")
	}
}

// strays are allocations that Nomad starts or stops though their nodes neither come nor go.
func (a *Assessment) strays(l *Line, o *Outlook, program string) {
	starts := max(0, o.Placed-len(a.Nodes.Added))
	if starts > 0 {
		l.Details = append(l.Details, fmt.Sprintf("%s starts on %s where it does not run now.", program, phrase.Count(starts, "node")))
	}
	// One that has failed, or whose node is away, is stopped and placed anew.
	if n := o.Stopped - len(a.Nodes.Removed) - starts; n > 0 {
		l.Severity = Worse(l.Severity, Interruption)
		l.Details = append(l.Details, fmt.Sprintf("%s stops on %s that %s.", program, phrase.Count(n, "node"), phrase.Pick(n, "stays", "stay")))
	}
}

// sameButComments compares job texts as HCL reads them: lines that are only a
// comment, outside of here-documents, are nothing.
func sameButComments(before, after any) bool {
	x, ok := before.(string)
	y, too := after.(string)
	return ok && too && code(x) == code(y)
}

var heredoc = regexp.MustCompile(`<<-?([A-Za-z_]+)\s*$`)

func code(text string) string {
	var b strings.Builder
	end := ""
	for line := range strings.Lines(text) {
		bare := strings.TrimSpace(line)
		if end == "" && (bare == "" || strings.HasPrefix(bare, "#") || strings.HasPrefix(bare, "//")) {
			continue
		}
		b.WriteString(line)
		if end == bare && end != "" {
			end = ""
		} else if m := heredoc.FindStringSubmatch(line); m != nil && end == "" {
			end = m[1]
		}
	}
	return b.String()
}
