package nomad

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"

	"gotest.tools/v3/assert"
	"gotest.tools/v3/assert/cmp"
)

func move(n *fakeNode, args ...string) (string, string, int) {
	n.t.Helper()
	n.write("move.sh", EMQXMove, 0o600)
	cmd := exec.Command("bash", append([]string{n.dir + "/move.sh"}, args...)...)
	cmd.Env = []string{"PATH=" + n.dir + ":" + os.Getenv("PATH")}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	_ = cmd.Run()
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func TestMoveScriptCounts(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		clients     int
		count, rate string
		printed     string // totals
		asked       string // how many at most, of each round
	}{
		{23, "all", "2", "10 20 23", "10 10 10 10"},
		{23, "12", "2", "10 12", "10 2"},
		{3, "100", "10", "3", "50 50"},
		{0, "all", "500", "0", "2500"},
		{5, "0", "500", "0", ""},
	} {
		n := newFakeNode(t, make([]string, tc.clients)...)
		out, errs, code := move(n, tc.count, tc.rate)
		assert.Equal(t, code, 0, errs)
		assert.Equal(t, strings.Join(strings.Fields(out), " "), tc.printed)
		var asked []string
		for line := range strings.Lines(n.read("evals")) {
			_, after, _ := strings.Cut(line, "], ")
			_, after, _ = strings.Cut(after, "], ")
			number, _, _ := strings.Cut(after, ")")
			asked = append(asked, number)
		}
		assert.Equal(t, strings.Join(asked, " "), tc.asked)
	}
}

func TestMoveScriptKeepsToTheRate(t *testing.T) {
	t.Parallel()
	for rate, want := range map[string]string{
		"1": "rem 1 =:= 0 andalso timer:sleep(1000)", "19": "rem 1 =:= 0 andalso timer:sleep(52)",
		"20": "rem 1 =:= 0 andalso timer:sleep(50)", "500": "rem 25 =:= 0 andalso timer:sleep(50)", "100000": "rem 5000 =:= 0 andalso timer:sleep(50)",
	} {
		n := newFakeNode(t)
		_, errs, code := move(n, "all", rate)
		assert.Equal(t, code, 0, errs)
		assert.Assert(t, cmp.Contains(n.read("evals"), want))
	}
}

func TestMoveScriptSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"all"}, {"all", "0"}, {"-1", "5"}, {"5", "x"}, {"", "5"}} {
		_, errs, code := move(newFakeNode(t), args...)
		assert.Equal(t, code, 2)
		assert.Assert(t, cmp.Contains(errs, "usage: move.sh COUNT|all RATE"))
	}
	n := newFakeNode(t, "a")
	n.write("no-eval", "", 0o600)
	_, _, code := move(n, "all", "5")
	assert.Equal(t, code, 1)
}
