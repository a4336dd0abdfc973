package operate

import (
	"crypto/x509"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/emqx-oci/emqx-oci/components/certs"
)

// CertificateStatus is the stack's own certificate as its settings have it: EMQX serves it within 2 minutes of the update
// that brings it. Of a chain it is the one that ends first.
type CertificateStatus struct {
	// Setting is where it stands: "tls.certificate", or the path of a further one.
	Setting string `json:"setting"`
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

// certificates are the main one, which is nil for a stack without one, and the further ones.
func (c *Cluster) certificates(now time.Time) (main *CertificateStatus, further []CertificateStatus) {
	for i, x := range c.Further {
		if x != nil {
			further = append(further, certificateStatus(fmt.Sprintf("tls.certificates[%d].certificate", i), x, now))
		}
	}
	if c.Certificate != nil {
		own := certificateStatus("tls.certificate", c.Certificate, now)
		main = &own
	}
	return main, further
}

// endingAuthorities are those of clients' certificates that end before long. Others are not told of: they are no
// certificate that anybody sees.
func (c *Cluster) endingAuthorities(now time.Time) (ending []CertificateStatus) {
	for _, setting := range slices.Sorted(maps.Keys(c.ClientAuthorities)) {
		if x := c.ClientAuthorities[setting]; x != nil && certs.EndsSoon(x.NotAfter, now) {
			ending = append(ending, certificateStatus(setting, x, now))
		}
	}
	return ending
}

func certificateStatus(setting string, x *x509.Certificate, now time.Time) CertificateStatus {
	return CertificateStatus{Setting: setting, Name: certs.Name(x), Ends: x.NotAfter.UTC(), DaysLeft: certs.DaysLeft(x.NotAfter, now)}
}

// certificates tells of those that end before long.
func (d *diagnosis) certificates() {
	for _, c := range d.status.ClientAuthorities {
		d.add("authority of clients' certificates "+c.Summary(d.status.Time)+": no client with a certificate of it gets in from then on",
			"renew it with the same key, or give clients certificates of another one, which stands beside it in tls.clientCa meanwhile; set "+
				c.Setting+", and run `emqx-oci up "+d.Environment+"`")
	}
	all := d.status.Further
	if c := d.status.Certificate; c != nil && d.status.Outside == nil { // who renews that has a time of his own
		all = append([]CertificateStatus{*c}, all...)
	}
	for _, c := range all {
		if certs.EndsSoon(c.Ends, d.status.Time) {
			key := strings.TrimSuffix(c.Setting, "certificate") + "privateKey"
			d.add("certificate "+c.Summary(d.status.Time), "renew it, set "+c.Setting+" and "+key+", and run `emqx-oci up "+d.Environment+"`: no client is cut off")
		}
	}
}
