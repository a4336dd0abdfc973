package gates

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	nomad "github.com/hashicorp/nomad/api"
	"github.com/miekg/dns"
	"gotest.tools/v3/assert"
)

const labDiscovery = "lab.emqx-cluster.service.consul"

// srvAnswer is what the lookup prints when the name has these nodes.
func srvAnswer(t *testing.T, nodes ...int) string {
	t.Helper()
	m := new(dns.Msg).SetQuestion(dns.Fqdn(labDiscovery), dns.TypeSRV)
	m.Response = true
	for _, i := range nodes {
		m.Answer = append(m.Answer, &dns.SRV{
			Hdr:    dns.RR_Header{Name: dns.Fqdn(labDiscovery), Rrtype: dns.TypeSRV, Class: dns.ClassINET},
			Target: fmt.Sprintf("emqx-lab-%d.node.dc1.consul.", i), Port: 4370,
		})
	}
	raw, err := m.Pack()
	assert.NilError(t, err)
	return "127.0.0.1 " + hex.EncodeToString(raw) + "\n"
}

func discoveryGate(lookup func(alloc string) (ExecResult, error), status func(string, string, []string) (ExecResult, error)) Gate {
	return ClusterFormed(&fakeNomad{
		job: labJob(4), deployments: []*nomad.Deployment{labDeployment(4, "successful")}, allocs: threeAllocs(4), stands: wanted,
		exec: func(alloc, task string, command []string) (ExecResult, error) {
			if slices.Contains(command, "lookup") {
				return lookup(alloc)
			}
			return status(alloc, task, command)
		},
	}, ClusterFormedArgs{Job: "emqx-lab", Nodes: labNodes, Discovery: labDiscovery, Text: wanted})
}

// A cluster that has formed by luck does not pass, and the failure says who is missing,
// where, and what to do.
func TestClusterFormedWantsAllMembersOfTheName(t *testing.T) {
	status := srvAnswer(t, 0)
	for _, c := range []struct {
		name   string
		lookup func(alloc string) (ExecResult, error)
		seen   string
	}{
		{"whole", func(string) (ExecResult, error) { return ExecResult{Stdout: srvAnswer(t, 2, 0, 1)}, nil }, ""},
		{"one more, which is about to go", func(string) (ExecResult, error) { return ExecResult{Stdout: srvAnswer(t, 3, 2, 0, 1)}, nil }, ""},
		{"on one node", func(alloc string) (ExecResult, error) {
			if strings.HasPrefix(alloc, "a1") {
				return ExecResult{Stdout: status}, nil
			}
			return ExecResult{Stdout: srvAnswer(t, 0, 1, 2)}, nil
		}, "lab.emqx-cluster.service.consul answers 1 of 3 members on emqx-lab-1, not emqx-lab-1.node.dc1.consul; emqx-lab-2.node.dc1.consul"},
		{"nobody answers", func(string) (ExecResult, error) {
			return ExecResult{Exit: 1, Stderr: "no name server of /etc/resolv.conf answers\n"}, nil
		}, "emqx-lab-0 does not hear of the members: exit code 1: no name server of /etc/resolv.conf answers"},
		{"no way in", func(string) (ExecResult, error) { return ExecResult{}, errors.New("no path to node") }, "whether emqx-lab-0 hears of the members is not known: no path to node"},
		{"a busy node", func(string) (ExecResult, error) { return ExecResult{Exit: timeoutExit}, nil }, "whether emqx-lab-0 hears of the members is not known: no answer within 14 s"},
		{"no DNS", func(string) (ExecResult, error) { return ExecResult{Stdout: "10.0.0.1 0102\n"}, nil }, "the answer of name server 10.0.0.1 is no DNS"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := once(t, discoveryGate(c.lookup, whole))
			assert.NilError(t, err)
			assert.Equal(t, s.Holds, c.seen == "", s.Seen)
			assert.Assert(t, strings.Contains(s.Seen, c.seen) && strings.HasPrefix(s.Seen, "3/3 EMQX nodes running"), s.Seen)
			// What nobody knows needs no cure.
			assert.Equal(t, strings.Contains(s.Next, "enable_truncate"), c.seen != "" && !strings.Contains(c.seen, "not known"), s.Next)
		})
	}
}

// While the members do not see each other, the reason stands beside it: asked seldom, and
// the same while as many are missing, whichever they are.
func TestASplitFirstBootIsExplained(t *testing.T) {
	var asked atomic.Int32
	g := discoveryGate(func(string) (ExecResult, error) {
		return ExecResult{Stdout: srvAnswer(t, int(asked.Add(1))%3)}, nil
	}, func(string, string, []string) (ExecResult, error) {
		return said(labNodes[:2], nil), nil
	})
	first, err := once(t, g)
	assert.NilError(t, err)
	assert.Assert(t, !first.Holds && strings.Contains(first.Seen, "is no member") && strings.Contains(first.Seen, "answers 1 of 3 members on emqx-lab-0"), first.Seen)
	assert.Equal(t, asked.Load(), int32(3))
	next, err := once(t, g)
	assert.NilError(t, err)
	assert.Equal(t, asked.Load(), int32(3), "it is asked again at once")
	assert.Equal(t, next.Seen, first.Seen, "it is no news")
	assert.Assert(t, strings.Contains(next.Next, "enable_truncate"), next.Next)
}

// Parts that never met are not healed, unlike members that lost each other.
func TestPartsThatNeverMetAreTold(t *testing.T) {
	for next, other := range map[string][]string{partsNext: nil, splitNext: labNodes[1:]} {
		g := discoveryGate(func(string) (ExecResult, error) { return ExecResult{Stdout: srvAnswer(t, 0, 1, 2)}, nil },
			func(alloc, _ string, _ []string) (ExecResult, error) {
				if strings.HasPrefix(alloc, "a0") {
					return said(labNodes[:1], other), nil
				}
				return said(labNodes[1:], slices.Clone(labNodes[:1])[:min(len(other), 1)]), nil
			})
		s, err := once(t, g)
		assert.NilError(t, err)
		assert.Assert(t, !s.Holds && strings.Contains(s.Seen, "do not agree"), s.Seen)
		assert.Equal(t, s.Next, next)
	}
}

func TestAnUnknownNameHasNoMembers(t *testing.T) {
	m := new(dns.Msg).SetQuestion("x.", dns.TypeSRV)
	m.Response, m.Rcode = true, dns.RcodeNameError
	for rcode, says := range map[int]string{dns.RcodeNameError: "", dns.RcodeServerFailure: "name server 127.0.0.1 answers SERVFAIL"} {
		m.Rcode = rcode
		raw, err := m.Pack()
		assert.NilError(t, err)
		hosts, err := targets("127.0.0.1 " + hex.EncodeToString(raw))
		assert.Equal(t, len(hosts), 0)
		if says == "" {
			assert.NilError(t, err)
		} else {
			assert.ErrorContains(t, err, says)
		}
	}
}
