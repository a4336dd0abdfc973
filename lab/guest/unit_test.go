//go:build linux

package guest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gotest.tools/v3/assert"
)

func writeTree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		p := filepath.Join(root, name)
		assert.NilError(t, os.MkdirAll(filepath.Dir(p), 0o755))
		assert.NilError(t, os.WriteFile(p, []byte(text), 0o644))
	}
	return root
}

func TestDropInsApplyInOrderOfTheirNames(t *testing.T) {
	root := writeTree(t, map[string]string{
		"usr/lib/systemd/system/nomad.service": "[Unit]\nDescription=N\nStartLimitBurst=3\n[Service]\nType=notify\nUser=nomad\n" +
			"ExecStart=/usr/bin/nomad agent \\\n  -config /etc/nomad.d\nExecReload=/bin/kill -HUP $MAINPID\n" +
			"Restart=on-failure\nRestartSec=2\nKillMode=process\nKillSignal=SIGINT\nLimitNOFILE=65536\nEnvironment=A=1 \"B=two words\"\n",
		"etc/systemd/system/nomad.service.d/20-x.conf":     "[Service]\nLimitNOFILE=1048576\nExecStart=\nExecStart=-/usr/bin/nomad agent -dev\n",
		"etc/systemd/system/nomad.service.d/10-x.conf":     "[Service]\nLimitNOFILE=7\nTimeoutStopSec=1min 30s\n",
		"usr/lib/systemd/system/nomad.service.d/10-x.conf": "[Service]\nRestart=no\n", // replaced by /etc's of the same name
	})
	u, err := loadUnit(root, "nomad.service")
	assert.NilError(t, err)
	assert.Equal(t, u.Type, "notify")
	assert.DeepEqual(t, u.Start, []Command{{Argv: []string{"/usr/bin/nomad", "agent", "-dev"}, IgnoreFailed: true}})
	assert.Equal(t, u.NoFile, uint64(1048576))
	assert.Equal(t, u.Restart, "on-failure")
	assert.Equal(t, u.RestartWait, 2*time.Second)
	assert.Equal(t, u.StopTimeout, 90*time.Second)
	assert.Equal(t, u.KillMode+u.KillSignal, "processSIGINT")
	assert.Equal(t, u.LimitBurst, 3)
	assert.DeepEqual(t, u.Environment, []string{"A=1", "B=two words"})
	assert.DeepEqual(t, u.Ignored, []string{"User"})
}

func TestEtcWinsOverUsr(t *testing.T) {
	root := writeTree(t, map[string]string{
		"usr/lib/systemd/system/a.service": "[Service]\nExecStart=/bin/usr\n",
		"etc/systemd/system/a.service":     "[Service]\nExecStart=/bin/etc one \"two three\" 'fo ur' 50%%\n",
	})
	u, err := loadUnit(root, "a.service")
	assert.NilError(t, err)
	assert.DeepEqual(t, u.Start[0].Argv, []string{"/bin/etc", "one", "two three", "fo ur", "50%"})
	_, err = loadUnit(root, "b.service")
	assert.Assert(t, errors.Is(err, errNoUnit))
}

func TestUnitFaultsAreAllNamed(t *testing.T) {
	root := writeTree(t, map[string]string{
		"etc/systemd/system/a.service": "[Service]\nType=forking\nRestart=sometimes\nLimitNOFILE=many\nExecStart=/bin/a\nExecStart=/bin/b\nnonsense\nKillSignal=SIGFOO\n",
	})
	_, err := loadUnit(root, "a.service")
	for _, want := range []string{
		`line 2: Type: "forking" is not supported in the lab`, `line 3: Restart: unknown value "sometimes"`, "line 4: LimitNOFILE",
		"more than one ExecStart", `line 7: no '='`, `unknown signal "SIGFOO"`,
	} {
		assert.ErrorContains(t, err, want)
	}
}

func TestEnvironment(t *testing.T) {
	root := writeTree(t, map[string]string{"etc/env": "# comment\nC=\"from file\"\nA=2\n"})
	u := &Unit{Environment: []string{"A=1", "D=x"}, EnvFiles: []string{"-/etc/none", "/etc/env"}, Unset: []string{"AWS_CA_BUNDLE"}}
	env, err := u.environ(root, []string{"AWS_CA_BUNDLE=/x", "PATH=/bin"})
	assert.NilError(t, err)
	assert.DeepEqual(t, env, []string{"A=2", "C=from file", "D=x", "PATH=/bin"})
	assert.DeepEqual(t, expand([]string{"kill", "$C", "${A}x${D}", "$NONE", "$$A"}, env), []string{"kill", "from", "file", "2xx", "$A"})
	u.EnvFiles = []string{"/etc/none"}
	_, err = u.environ(root, nil)
	assert.ErrorContains(t, err, "reading EnvironmentFile")
}

func TestSpans(t *testing.T) {
	for in, want := range map[string]time.Duration{"2": 2 * time.Second, "0.5": time.Second / 2, "100ms": 100 * time.Millisecond, "1min 30s": 90 * time.Second} {
		got, err := parseSpan(in)
		assert.NilError(t, err)
		assert.Equal(t, got, want, in)
	}
	_, err := parseSpan("soon")
	assert.ErrorContains(t, err, `"soon" is no time span`)
}

func TestEnabledUnits(t *testing.T) {
	root := writeTree(t, map[string]string{"usr/lib/systemd/system/a.service": "[Service]\nExecStart=/bin/a\n"})
	assert.Equal(t, len(enabledUnits(root)), 0)
	assert.NilError(t, setEnabled(root, "a.service", true))
	assert.NilError(t, setEnabled(root, "a.service", true))
	assert.DeepEqual(t, enabledUnits(root), []string{"a.service"})
	assert.NilError(t, setEnabled(root, "a.service", false))
	assert.NilError(t, setEnabled(root, "a.service", false))
	assert.Equal(t, len(enabledUnits(root)), 0)
}

func TestUserDataIsBase64AndMayBeGzip(t *testing.T) {
	got, err := decodeUserData([]byte("IyEvYmluL3NoCg==\n"))
	assert.NilError(t, err)
	assert.Equal(t, string(got), "#!/bin/sh\n")
	_, err = decodeUserData([]byte("#!/bin/sh"))
	assert.ErrorContains(t, err, "decoding user data")
}

// manage starts a manager whose reaper collects this test's children.
func manage(t *testing.T, files map[string]string) *manager {
	t.Helper()
	root := writeTree(t, files)
	m := newManager(root, newReaper(), os.Environ(), t.Logf)
	return m
}

func TestSystemctlAnswersForUnknownUnits(t *testing.T) {
	m := manage(t, map[string]string{"etc/systemd/system/a.service": "[Service]\nExecStart=/bin/true\n"})
	assert.DeepEqual(t, m.handle(request{Verb: "is-active", Units: []string{"none"}}), reply{Out: "inactive\n", Code: 3})
	assert.DeepEqual(t, m.handle(request{Verb: "start", Units: []string{"none"}}), reply{Err: "Unit none.service not found.\n", Code: 5})
	assert.DeepEqual(t, m.handle(request{Verb: "is-active", Units: []string{"a"}}), reply{Out: "inactive\n", Code: 3})
	r := m.handle(request{Verb: "mask", Units: []string{"a"}})
	assert.Equal(t, r.Code, 1)
	assert.Assert(t, strings.Contains(r.Err, "mask"))
	assert.Equal(t, m.handle(request{Verb: "reload", Units: []string{"a"}}).Err, "Job for a.service failed: a.service is not active, cannot reload\n")
}

// As with systemd, a drop-in has no effect before daemon-reload.
func TestUnitsStayAsLoadedUntilDaemonReload(t *testing.T) {
	m := manage(t, map[string]string{"etc/systemd/system/a.service": "[Service]\nExecStart=/bin/true\n"})
	s, err := m.find("a")
	assert.NilError(t, err)
	p := filepath.Join(m.root, "etc/systemd/system/a.service.d/x.conf")
	assert.NilError(t, os.MkdirAll(filepath.Dir(p), 0o755))
	assert.NilError(t, os.WriteFile(p, []byte("[Service]\nLimitNOFILE=9\n"), 0o644))
	assert.Equal(t, s.current().NoFile, uint64(0))
	assert.DeepEqual(t, m.handle(request{Verb: "daemon-reload"}), reply{})
	assert.Equal(t, s.current().NoFile, uint64(9))
}

func TestStartLimit(t *testing.T) {
	s := &service{}
	u := &Unit{Name: "a.service", LimitBurst: 2, LimitWindow: time.Minute}
	assert.NilError(t, s.limit(u))
	assert.NilError(t, s.limit(u))
	assert.ErrorContains(t, s.limit(u), "started 2 times within 1m0s")
}

// What comes after another unit stops before it, whether it says so or the other does.
func TestUnitsStopInTheirOrder(t *testing.T) {
	root := writeTree(t, map[string]string{
		"etc/systemd/system/drain.service": "[Unit]\nAfter=network-online.target docker.service consul.service\nAfter=dnsmasq.service\n" +
			"Before=nomad.service\n[Service]\nType=oneshot\nExecStart=/bin/true\nExecStop=/bin/drain end\n",
		"etc/systemd/system/docker.service":  "[Service]\nExecStart=/bin/a\n",
		"etc/systemd/system/consul.service":  "[Service]\nExecStart=/bin/a\n",
		"etc/systemd/system/dnsmasq.service": "[Service]\nExecStart=/bin/a\n",
		"etc/systemd/system/nomad.service":   "[Service]\nExecStart=/bin/a\n",
	})
	var all []*service
	for _, name := range []string{"dnsmasq", "docker", "consul", "drain", "nomad"} {
		u, err := loadUnit(root, name+".service")
		assert.NilError(t, err)
		all = append(all, &service{unit: u})
	}
	assert.DeepEqual(t, all[3].unit.Stop, []Command{{Argv: []string{"/bin/drain", "end"}}})
	var mu sync.Mutex
	var order []string
	note := func(what string) {
		mu.Lock()
		defer mu.Unlock()
		order = append(order, what)
	}
	inOrder(t.Context(), all, func(s *service) {
		name := strings.TrimSuffix(s.unit.Name, ".service")
		note(name)
		time.Sleep(20 * time.Millisecond)
		note(name + " has stopped")
	})
	assert.DeepEqual(t, order[:4], []string{"nomad", "nomad has stopped", "drain", "drain has stopped"})
	assert.Equal(t, len(order), 10)

	// Nobody waits for longer than there is time.
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	release := make(chan struct{})
	inOrder(ctx, all, func(*service) { <-release })
	assert.ErrorIs(t, ctx.Err(), context.DeadlineExceeded)
	close(release)
}

// systemd's own limit of a start is 90 s, but none for a oneshot.
func TestHowLongAStartMayTake(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"Type=notify\n": 90 * time.Second,
		"Type=notify\nTimeoutStartSec=infinity\n": forever,
		"Type=oneshot\n": forever,
		"Type=oneshot\nTimeoutStartSec=1min 30s\n": 90 * time.Second,
	} {
		root := writeTree(t, map[string]string{"etc/systemd/system/a.service": "[Service]\nExecStart=/bin/true\n" + text})
		u, err := loadUnit(root, "a.service")
		assert.NilError(t, err)
		assert.Equal(t, u.StartWait, want, text)
	}
}

func TestWhatTheBootScriptsUnitNeeds(t *testing.T) {
	const text = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nType=exec\nRemainAfterExit=yes\nExecStart=/bin/boot service\n" +
		"Restart=on-failure\nRestartSec=10\nStandardOutput=journal+console\nStandardError=inherit\n"
	root := writeTree(t, map[string]string{
		"etc/systemd/system/a.service": text,
		"etc/systemd/system/b.service": strings.ReplaceAll(text, "Type=exec", "Type=oneshot"),
	})
	u, err := loadUnit(root, "a.service")
	assert.NilError(t, err)
	assert.Assert(t, u.Remains && u.Console)
	assert.Equal(t, u.LimitWindow, time.Duration(0))
	assert.DeepEqual(t, u.Ignored, []string{"StandardError"})
	_, err = loadUnit(root, "b.service")
	assert.ErrorContains(t, err, "Restart=on-failure of a oneshot is not supported in the lab")
}
