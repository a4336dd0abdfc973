//go:build lab

package haproxy

import (
	"testing"
	"time"

	"gotest.tools/v3/assert"
	"gotest.tools/v3/assert/cmp"

	"github.com/emqx-oci/emqx-oci/components/settings"
	"github.com/emqx-oci/emqx-oci/internal/jobtest"
)

// Docker's own part: the driver takes every option, HAProxy's user can read its
// configuration, and the limits hold.
func TestHAProxyJobInDocker(t *testing.T) {
	if !jobtest.InNamespace(t) {
		return
	}
	docker := jobtest.Docker(t)
	jobtest.ImportProbe(t, docker, "haproxy:3.2.25", "bin/haproxy", `ENV PATH=/bin`)
	n, _ := servers(t)
	putSecrets(t, n, "password", settings.TerminateBroker)
	v := testVars()
	v.NodeCount, v.ShutdownDelay, v.KillTimeout, v.MinHealthyTime = 1, time.Second, 11*time.Second, time.Second
	a := jobtest.Start(t, n, testJob(t, v))
	jobtest.AwaitDeployment(t, n, a)
	for _, text := range []string{
		`"uid":99`, `"gid":99`, `"nofile":10000`, `"args":["haproxy","-W","-db","-f","/tmp/haproxy"]`, `"/tmp/haproxy/haproxy.cfg":`,
	} {
		assert.Assert(t, cmp.Contains(jobtest.Output(t, a), text))
	}
	jobtest.Hardened(t, docker, a)
}
