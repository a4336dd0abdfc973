//go:build lab && drill

package e2e

import "testing"

// TestCertificatesAreRenewed is the chapter of TestAccess on a lab of its own.
func TestCertificatesAreRenewed(t *testing.T) {
	b := newBed(t)
	b.edit(t, tlsAtBroker, tlsAtProxy)
	b.must(t, "lab", "up")
	b.must(t, "up", "lab", "--yes")
	b.chapter(t, "certificates are renewed by others", certificatesAreRenewed)
}
