package broker

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gotest.tools/v3/assert"
)

// The container's environment holds no cookie, so ctl takes that of the node that runs,
// as EMQX's start script does.
func TestCtlTakesTheCookieOfTheRunningNode(t *testing.T) {
	l := newLab(t, 1)
	l.start(0)
	l.wantUp(0)
	processes := t.TempDir()
	process := func(id, arguments, environment string) {
		dir := filepath.Join(processes, id)
		assert.NilError(t, os.Mkdir(dir, 0o700))
		assert.NilError(t, os.WriteFile(filepath.Join(dir, "cmdline"), []byte(arguments), 0o600))
		assert.NilError(t, os.WriteFile(filepath.Join(dir, "environ"), []byte(environment), 0o600))
	}
	process("1", "/bin/bash\x00/local/run.sh\x00foreground\x00", "EMQX_NODE__COOKIE=other\x00")
	process("7", "emqx\x00ctl\x00status\x00", "EMQX_NODE__COOKIE=other\x00")
	o := l.options(0)
	o.Env = slices.DeleteFunc(o.Env, func(v string) bool { return strings.HasPrefix(v, cookieVariable) })
	o.Processes = processes
	errs := &buffer{}
	o.Stdout = errs
	assert.Equal(t, Ctl(o, []string{"status"}, errs), 1, "nobody's cookie: %s", errs)
	process("12", "/opt/emqx/bin/emqx\x00foreground\x00", "A=b\x00EMQX_NODE__COOKIE=secret\x00C=d\x00")
	assert.Equal(t, Ctl(o, []string{"status"}, errs), 0, "%s", errs)
}
