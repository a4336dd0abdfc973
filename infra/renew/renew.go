package renew

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components/certs"
)

// Options are the choices of a renewal.
type Options struct {
	// Aside runs a program of the engine's whose resources are there for as long as it runs.
	Aside func(ctx context.Context, what string, program pulumi.RunFunc) error
	// Force renews one that is not due.
	Force bool
	// Report gets a line for what is done; nil for nobody.
	Report func(string)
}

// Outcome is what became of a renewal.
type Outcome struct {
	// Source is the setting tls.source. One of which certificates do not come from here has nothing else.
	Source string `json:"source"`
	// Renewed says whether another certificate was written.
	Renewed bool `json:"renewed"`
	// Name and Ends are of the certificate that is there now.
	Name string    `json:"name,omitempty"`
	Ends time.Time `json:"ends,omitzero"`
}

// Renewal gets a certificate and hands it over. All is required but Options.
type Renewal struct {
	Options
	Store Store
	Host  string
	// Trust is by what clients know the server; its Certificates are left out.
	Trust certs.Server
	// Source is the setting tls.source.
	Source string
	// Get gets a certificate. Each says whether it costs nothing to get the same one again: it is asked then whatever the
	// one that is there is like.
	Get  func(context.Context) (certs.Pair, error)
	Each bool
	Now  func() time.Time
}

// Do renews where it is due: there is no certificate, clients refuse the one that there is, or it ends soon. One that clients
// would refuse is not handed over.
func (r Renewal) Do(ctx context.Context) (Outcome, error) {
	held, err := r.Store.Held(ctx)
	if err != nil {
		return Outcome{}, err
	}
	pair := held.Pair
	if r.Force || r.Each || r.why(held) != "" {
		if !r.Each {
			r.report(r.why(held))
		}
		if pair, err = r.Get(ctx); err != nil {
			return Outcome{}, err
		}
		if what := refusal(pair.Judge(r.Host, r.Trust, r.Now())); what != "" {
			return Outcome{}, fmt.Errorf("the certificate from %s is not handed over, as clients would refuse it: it %s", r.Source, what)
		}
	}
	changed, err := r.Store.Put(ctx, pair)
	if err != nil {
		return Outcome{}, err
	}
	own := pair.Chain()[0]
	return Outcome{Source: r.Source, Renewed: changed && pair != held.Pair, Name: certs.Name(own), Ends: own.NotAfter.UTC()}, nil
}

// why says why one is due, "" when it is not.
func (r Renewal) why(h Held) string {
	if h.Missing {
		return "there is no certificate yet"
	}
	if h.Fault != "" {
		return "the certificate that is there is none: " + h.Fault
	}
	if what := refusal(h.Pair.Judge(r.Host, r.Trust, r.Now())); what != "" {
		return "clients refuse the certificate that is there: it " + what
	}
	if first := certs.FirstToEnd(h.Pair.Chain()[:1]); certs.Due(first, r.Now()) {
		return fmt.Sprintf("%q %s", certs.Name(first), certs.Expiry(first.NotAfter, r.Now()))
	}
	return ""
}

func (r Renewal) report(line string) {
	if r.Report != nil && line != "" {
		r.Report(line)
	}
}

// refusal are the findings that keep clients out.
func refusal(found []certs.Finding) string {
	var all []string
	for _, f := range found {
		if !f.Warning {
			all = append(all, f.Text)
		}
	}
	return strings.Join(all, "; it ")
}

// Look is what a stack's certificate from outside is like.
type Look struct {
	Held
	// First is the one of the chain that ends first; nil where there is none.
	First *x509.Certificate
	// Refused says why clients would refuse it, "" for nothing. Overdue says that who renews it has not.
	Refused string
	Overdue bool
}

// ErrNone is the error of a stack whose certificate does not come from outside.
var ErrNone = errors.New("the stack's certificate is in its own settings")

// Look reads the variable and judges what it holds.
func (r Renewal) Look(ctx context.Context) (Look, error) {
	held, err := r.Store.Held(ctx)
	l := Look{Held: held}
	if chain := held.Pair.Chain(); len(chain) > 0 {
		l.First = certs.FirstToEnd(chain)
		l.Refused = refusal(held.Pair.Judge(r.Host, r.Trust, r.Now()))
		l.Overdue = certs.Overdue(chain[0], r.Now())
	}
	return l, err
}
