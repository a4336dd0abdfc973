package cluster

import (
	"testing"
	"time"

	"gotest.tools/v3/assert"
)

// Whoever gives nothing gets what fits together, in any layer.
func TestDefaultsHaveNoFaults(t *testing.T) {
	for _, d := range []Drain{DefaultDrain, {}, {Rate: 1, Timeout: 7 * time.Minute}} {
		assert.Equal(t, len(Times{}.Or(BrokerTimes(d)).BrokerFaults(d)), 0, d)
	}
	assert.Equal(t, len(Times{}.Or(ProxyTimes()).ProxyFaults()), 0)
	assert.Assert(t, BrokerTimes(Drain{}).ShutdownDelay > Forgotten)
	for _, tls := range []bool{true, false} {
		b := BrokerSize{MemoryMB: 4096, NoFile: 65536, TLS: tls}.Derived()
		assert.Equal(t, len(b.Faults()), 0)
		p := ProxySize{MaxConn: DefaultMaxConn(b.MaxConnections)}.Derived()
		assert.Equal(t, len(p.Faults()), 0)
		assert.Equal(t, p.NoFile, 2*(p.MaxConn+ProxyHeadroom)+ProxyOwnFiles)
	}
	// What the nodes' Nomad clients allow is enough for the longest drain.
	assert.Assert(t, BrokerTimes(Drain{Rate: 1, Timeout: 7 * time.Minute}).KillTimeout <= MaxKillTimeout)
}

func TestTimesThatDoNotFitTogether(t *testing.T) {
	drain := Drain{Rate: 500, Timeout: 5 * time.Minute}
	for name, tc := range map[string]struct {
		got  []Fault
		want string
	}{
		"drain":    {Times{KillTimeout: 270 * time.Second}.Or(BrokerTimes(drain)).BrokerFaults(drain), "killTimeout must be at least 130s above drain.timeout (5m), as EMQX stops after it, got 4m30s"},
		"no drain": {Times{KillTimeout: time.Minute}.Or(BrokerTimes(Drain{})).BrokerFaults(Drain{}), "killTimeout must be at least 130s, as EMQX takes up to 120 s to stop, got 1m"},
		"client":   {Times{KillTimeout: 11 * time.Minute, ProgressDeadline: time.Hour}.Or(BrokerTimes(Drain{})).BrokerFaults(Drain{}), "killTimeout must be at most 10m, which is what the nodes' Nomad clients allow, got 11m"},
		"progress": {Times{ProgressDeadline: 6 * time.Minute, KillTimeout: 8 * time.Minute}.Or(ProxyTimes()).ProxyFaults(), "killTimeout must be at most progressDeadline (6m), or Nomad refuses the job, got 8m"},
		"proxy":    {Times{KillTimeout: 45 * time.Second}.Or(ProxyTimes()).ProxyFaults(), "killTimeout must be at least 10s above shutdownDelay (40s), got 45s"},
		"healthy":  {Times{MinHealthyTime: 5 * time.Minute}.Or(ProxyTimes()).ProxyFaults(), "healthyDeadline must be longer than minHealthyTime (5m), got 5m"},
		"deadline": {Times{ProgressDeadline: 5 * time.Minute}.Or(ProxyTimes()).ProxyFaults(), "progressDeadline must be longer than healthyDeadline (5m), got 5m"},
		"short":    {Times{ShutdownDelay: time.Millisecond}.Or(ProxyTimes()).ProxyFaults(), "shutdownDelay must be at least 1s, got 1ms"},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, len(tc.got), 1)
			assert.Equal(t, tc.got[0].Of+" "+tc.got[0].Text, tc.want)
		})
	}
}

func TestSizesThatDoNotFitTogether(t *testing.T) {
	of := func(found []Fault) (names []string) {
		for _, f := range found {
			names = append(names, f.Of)
		}
		return names
	}
	assert.DeepEqual(t, of(BrokerSize{MemoryMB: 4096, NoFile: 20000, MaxConnections: 20000}.Faults()), []string{"noFile"})
	assert.DeepEqual(t, of(BrokerSize{MemoryMB: 512, NoFile: 20000, MaxConnections: 9000}.Faults()), []string{"memoryMb"})
	assert.DeepEqual(t, of(ProxySize{MaxConn: 50000, MaxConnPerSource: 50001, MemoryMB: 512, NoFile: 100000}.Faults()),
		[]string{"maxConnPerSource", "memoryMb", "noFile"})
	assert.Equal(t, BrokerShare(MaxConnOf(1000, 3), 3) <= 1000, true)
}

func TestNames(t *testing.T) {
	assert.Equal(t, EnvironmentOf(NodeName("prod-eu-1", 12), 12), "prod-eu-1")
	node, host := NodeOf(EMQXName(NodeName("prod", 1), "dc1"))
	assert.Equal(t, node, "emqx-prod-1")
	assert.Equal(t, host, Host(node, "dc1"))
	assert.Equal(t, EMQXJobID("prod"), "emqx-prod")
	assert.Equal(t, ServiceName("prod", MembersService), "prod.emqx-cluster.service.consul")
	for name, ok := range map[string]bool{
		"prod": true, "prod-eu-1": true, "Prod": false, "prod_1": false, "-prod": false, "": false, "a--b": false,
		"abcdefghijklmnopqrstuvwxyzabcde": true, "abcdefghijklmnopqrstuvwxyzabcdef": false,
	} {
		assert.Equal(t, EnvironmentFault(name) == "", ok, name)
	}
	meta := map[string]string{"pool_type": "emqx", "group-index": "2", "emqx_cluster": "prod", "else": "x"}
	assert.Assert(t, HasMeta(meta, "prod", 2))
	assert.Assert(t, !HasMeta(meta, "prod", 1))
	assert.Assert(t, !HasMeta(meta, "lab", 2))
}

func TestSecrets(t *testing.T) {
	for _, tc := range []struct {
		fault     func(string) string
		good, bad []string
	}{
		{CookieFault, []string{"abcdefghijklmnopqrst"}, []string{"", "abcdefghijklmnopqrs", "0123456789012345678901", "abcdefghijklmnopqrs#"}},
		{APIKeyFault, []string{"deploy01"}, []string{"", "deploy1", "with:colon", "with space"}},
		{APISecretFault, []string{"s3cr3t-s3cr3t"}, []string{"s3cr3t-s3cr", "a:b:c:d:e:f:g"}},
		{PasswordFault, []string{`a"b\c#d'e$f%`}, []string{"", "elevenchars", "with a space in it", "line\nbreak-in-it", "ümlauts-are-none"}},
		{LicenseFault, []string{"MjIwMTEx"}, []string{"", "line\nbreak", "nul\x00"}},
	} {
		for _, value := range tc.good {
			assert.Equal(t, tc.fault(value), "", value)
		}
		for _, value := range tc.bad {
			assert.Assert(t, tc.fault(value) != "", value)
		}
	}
}
