package operate

import (
	"context"
	"encoding/pem"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"
	"gotest.tools/v3/assert/cmp"

	"github.com/emqx-oci/emqx-oci/components/certs"
	"github.com/emqx-oci/emqx-oci/infra/gates"
	"github.com/emqx-oci/emqx-oci/infra/renew"
)

// shows is a Nomad whose proxies print what they show.
type shows struct {
	*world
	by map[string]string // by allocation
}

func (s shows) Exec(ctx context.Context, alloc, task string, command ...string) (gates.ExecResult, error) {
	if text, ok := s.by[alloc]; ok && slices.Equal(command, []string{"shown"}) {
		return gates.ExecResult{Stdout: text}, nil
	}
	return s.world.Exec(ctx, alloc, task, command...)
}

// Status tells what is wrong with a certificate that somebody else brings, which nodes have refused it and go on with what
// they had, and which have not heard of it.
func TestACertificateFromOutsideIsLookedAt(t *testing.T) {
	w := newWorld(t, 3)
	w.now = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	for i, a := range w.proxies {
		a.NodeName = w.nodes[i].Name
	}
	x, old := certificateThatEnds(t, w.now.AddDate(0, 0, 90)), certificateThatEnds(t, w.now.AddDate(0, 0, 10))
	text := func(c []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c}))
	}
	pair := certs.Pair{Certificate: text(x.Raw)}
	good := renew.Look{Held: renew.Held{Pair: pair, Changed: w.now.Add(-time.Hour)}, First: x}
	fresh, refused, overdue, missing, broken := good, good, good, good, good
	fresh.Changed = w.now.Add(-time.Minute)
	refused.Refused, overdue.Overdue = "must be valid for dns.name: it is for another", true
	missing.Held, missing.First = renew.Held{Missing: true}, nil
	broken.Held, broken.First = renew.Held{Fault: "its certificate must fit its key"}, nil
	newest, before := text(x.Raw), text(old.Raw)
	for name, c := range map[string]struct {
		look  renew.Look
		err   error
		shown [3]string
		want  []string // the beginning of each problem
	}{
		"well":               {look: good, shown: [3]string{newest, newest, newest}},
		"just written":       {look: fresh, shown: [3]string{newest, before, before}},
		"an old one":         {look: good, shown: [3]string{newest, before, newest}, want: []string{"an old certificate is shown by emqx-lab-1"}},
		"nobody answers":     {look: good},
		"refused by clients": {look: refused, want: []string{"the certificate in the Nomad variable P: clients refuse it: it must be valid for dns.name"}},
		"not renewed":        {look: overdue, want: []string{"the certificate in the Nomad variable P: it has not been renewed in its time"}},
		"none":               {look: missing, want: []string{"the certificate in the Nomad variable P: there is none"}},
		"may not be read":    {err: errors.New("permission denied"), want: []string{"the certificate in the Nomad variable P: permission denied"}},
		"broken, and told of": {look: broken, shown: [3]string{before + "[ALERT] tls.pem\n", before + "[ALERT] tls.pem\n", before}, want: []string{"the certificate in the Nomad variable P: its certificate must fit its key",
			"emqx-lab-0 and emqx-lab-1 are going on with an older certificate, as the newest was refused there: [ALERT] tls.pem"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := shows{world: w, by: map[string]string{}}
			for i, a := range w.proxies {
				s.by[a.ID] = c.shown[i]
			}
			cluster := w.cluster()
			cluster.Nomad = s
			cluster.Outside = &Outside{
				Look: func(context.Context) (renew.Look, error) { return c.look, c.err }, Path: "P", HowToWrite: "W",
				AtProxy: true, Task: "haproxy", Command: []string{"shown"},
			}
			got := cluster.Status(t.Context(), StatusOptions{})
			assert.Equal(t, len(got.Problems), len(c.want), "%+v", got.Problems)
			for i, want := range c.want {
				assert.Assert(t, strings.HasPrefix(got.Problems[i].What, want), got.Problems[i].What)
			}
			if c.look.First != nil && c.err == nil {
				assert.Equal(t, got.Certificate.Setting, "P")
				assert.Equal(t, got.Certificate.DaysLeft, 90)
			}
			if name == "none" {
				assert.Assert(t, cmp.Contains(got.Problems[0].Next, "W"))
			}
		})
	}
}
