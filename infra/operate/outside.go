package operate

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
	"time"

	"github.com/emqx-oci/emqx-oci/components/certs"
	"github.com/emqx-oci/emqx-oci/infra/gates"
	"github.com/emqx-oci/emqx-oci/infra/renew"
)

// Outside says how a certificate from outside the stack is looked at. All is required.
type Outside struct {
	// Look reads the Nomad variable at Path, which is written as HowToWrite says.
	Look             func(context.Context) (renew.Look, error)
	Path, HowToWrite string
	// AtProxy says who shows it: the proxies, or the brokers. Task and Command print it in each: see seams.Proxy.
	AtProxy bool
	Task    string
	Command []string
}

// OutsideStatus is what a look at it found.
type OutsideStatus struct {
	// Variable is where it is, Problem what is wrong with what is there; empty for nothing.
	Variable string `json:"variable"`
	Problem  string `json:"problem,omitempty"`
	// Changed is when somebody wrote it last.
	Changed time.Time `json:"changed,omitzero"`
	// Refused are the nodes that have refused it, with their reasons: they go on with what they had.
	Refused map[string]string `json:"refused,omitempty"`
	// Behind are the nodes that show another one, and have refused none.
	Behind []string `json:"behind,omitempty"`
	next   string
}

// slow is how long nodes may take to show what was written: one after another reloads, five seconds later each, and EMQX
// looks every two minutes.
const slow = 10 * time.Minute

// outside asks the variable, and each node for what it shows.
func (c *Cluster) outside(ctx context.Context) (*OutsideStatus, *x509.Certificate) {
	if c.Outside == nil {
		return nil, nil
	}
	s := &OutsideStatus{Variable: c.Outside.Path}
	look, err := c.Outside.Look(ctx)
	if err != nil {
		s.Problem = err.Error()
		return s, nil
	}
	s.Changed = look.Changed
	switch {
	case look.Missing:
		s.Problem, s.next = "there is none", c.Outside.HowToWrite
	case look.Fault != "":
		s.Problem, s.next = look.Fault, c.Outside.HowToWrite
	case look.Refused != "":
		s.Problem, s.next = "clients refuse it: it "+look.Refused, c.Outside.HowToWrite
	case look.Overdue:
		s.Problem, s.next = "it has not been renewed in its time", "who renews it: it ends soon, and clients refuse it then"
	}
	c.shown(ctx, s, look)
	return s, look.First
}

// shown asks the nodes side by side.
func (c *Cluster) shown(ctx context.Context, s *OutsideStatus, look renew.Look) {
	job := c.BrokerJob
	if c.Outside.AtProxy {
		job = c.Proxy.Job
	}
	allocs, err := c.Nomad.Allocations(ctx, job)
	if err != nil {
		return // who has no Nomad is told so elsewhere
	}
	texts := make([]string, len(c.Nodes))
	together(eachNode(len(c.Nodes), func(i int) {
		for _, a := range allocs {
			if a.NodeName == c.Nodes[i].Name && a.ClientStatus == "running" && !gates.Stopping(a) {
				if r, err := c.Nomad.Exec(ctx, a.ID, c.Outside.Task, c.Outside.Command...); err == nil {
					texts[i] = r.Stdout
				}
			}
		}
	})...)
	for i, text := range texts {
		shows, refused := readShown(text)
		name := c.Nodes[i].Name
		switch {
		case shows == nil: // nobody answered
		case refused != "":
			if s.Refused == nil {
				s.Refused = map[string]string{}
			}
			s.Refused[name] = refused
		case len(look.Pair.Chain()) > 0 && !shows.Equal(look.Pair.Chain()[0]) && c.Clock.Now().Sub(look.Changed) > slow:
			s.Behind = append(s.Behind, name)
		}
	}
}

// readShown reads what a node says: its own certificate first, and why it refused another one last.
func readShown(text string) (shows *x509.Certificate, refused string) {
	rest := []byte(text)
	for {
		block, after := pem.Decode(rest)
		if block == nil {
			return shows, gates.OneLine(string(rest))
		}
		if x, err := x509.ParseCertificate(block.Bytes); err == nil && shows == nil {
			shows = x
		}
		rest = after
	}
}

// outside tells of what is wrong with it.
func (d *diagnosis) outside() {
	s := d.status.Outside
	if s == nil {
		return
	}
	if s.Problem != "" {
		d.add(fmt.Sprintf("the certificate in the Nomad variable %s: %s", s.Variable, s.Problem), s.next)
	}
	for _, n := range d.status.Nodes {
		if why := s.Refused[n.Name]; why != "" {
			d.each("", n.Name, "going on with an older certificate, as the newest was refused there: "+why, "the Nomad variable "+s.Variable+"; those who are connected stay, and a restart there would end with it")
		}
	}
	if len(s.Behind) > 0 {
		d.add("an old certificate is shown by "+strings.Join(s.Behind, ", "), "`nomad alloc logs` of its task there, and whether the node has its Nomad servers")
	}
}

// outsideStatus is a certificate from outside as one of the stack's own.
func outsideStatus(path string, x *x509.Certificate, now time.Time) *CertificateStatus {
	return &CertificateStatus{Setting: path, Name: certs.Name(x), Ends: x.NotAfter.UTC(), DaysLeft: certs.DaysLeft(x.NotAfter, now)}
}
