package operate

import (
	"fmt"
	"time"

	"github.com/emqx-oci/emqx-oci/components/certs"
)

// CertificateStatus is the stack's own certificate as its settings have it: EMQX serves it within 2 minutes of the update
// that brings it. Of a chain it is the one that ends first.
type CertificateStatus struct {
	// Name is its common name, or else its first name.
	Name string `json:"name"`
	// Ends is when clients begin to refuse it.
	Ends time.Time `json:"ends"`
	// DaysLeft are whole days until then, below 0 afterwards.
	DaysLeft int `json:"daysLeft"`
}

// Summary says in a line when the certificate ends.
func (c CertificateStatus) Summary(now time.Time) string {
	return fmt.Sprintf("%q %s", c.Name, certs.Expiry(c.Ends, now))
}

// certificate is nil for a stack without one.
func (c *Cluster) certificate(now time.Time) *CertificateStatus {
	x := c.Certificate
	if x == nil {
		return nil
	}
	return &CertificateStatus{Name: certs.Name(x), Ends: x.NotAfter.UTC(), DaysLeft: certs.DaysLeft(x.NotAfter, now)}
}

// certificate tells of one that ends before long.
func (d *diagnosis) certificate() {
	if c := d.status.Certificate; c != nil && certs.EndsSoon(c.Ends, d.status.Time) {
		d.add("certificate "+c.Summary(d.status.Time), "renew it, set tls.certificate and tls.privateKey, and run `emqx-oci up "+d.Environment+"`: no client is cut off")
	}
}
