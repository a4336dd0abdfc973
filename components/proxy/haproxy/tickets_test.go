package haproxy

import (
	"crypto/tls"
	"strings"
	"testing"

	"gotest.tools/v3/assert"
	"gotest.tools/v3/assert/cmp"

	"github.com/emqx-oci/emqx-oci/components/settings"
)

// newTicketLab is a HAProxy of its own with a stack's certificate and keys.
func newTicketLab(t *testing.T, certificate, keys map[string]item) *proxyLab {
	t.Helper()
	l := prepareProxyLab(t, 1, nil)
	l.job.TLSAtProxy, l.job.TLSTickets = true, true
	l.write(l.config())
	l.renderItems(certificate, "tls.pem")
	l.renderItems(keys, "tickets")
	l.start()
	return l
}

func ticketItems(t *testing.T, keys settings.Secret) map[string]item {
	t.Helper()
	return secretItems(t, settings.Settings{Environment: "lab", TLS: settings.TLS{
		Terminate: settings.TerminateProxy, Certificate: "certificate", PrivateKey: "key", Clients: settings.ClientsNone, TicketKeys: keys,
	}})
}

// A session of one HAProxy resumes at another one. A ticket outlives one rotation of the
// keys, and not two; while the proxies take them over, each reads the tickets of the other.
func TestHAProxyResumesSessionsOfAnother(t *testing.T) {
	t.Parallel()
	a := newAuthority(t, "servers")
	cert, key := a.issue(t, serverName, "ecdsa")
	certificate := map[string]item{ItemTerminate: {"proxy"}, ItemCertificate: {cert}, ItemPrivateKey: {key}}
	keys := settings.RotateTicketKeys("")
	one, two := newTicketLab(t, certificate, ticketItems(t, keys)), newTicketLab(t, certificate, ticketItems(t, keys))
	strangers := newTicketLab(t, certificate, ticketItems(t, settings.RotateTicketKeys("")))

	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		// resumes tells whether a client that has been at the first is known at another.
		visit := func(l *proxyLab, kept tls.ClientSessionCache) bool {
			conn, err := l.tlsClient(8883, &tls.Config{RootCAs: a.pool(), ClientSessionCache: kept, MaxVersion: version})
			assert.NilError(t, err)
			defer func() { _ = conn.Close() }()
			return conn.ConnectionState().DidResume
		}
		resumes := func(first, other *proxyLab) bool {
			kept := tls.NewLRUClientSessionCache(1)
			assert.Assert(t, !visit(first, kept))
			return visit(other, kept)
		}
		assert.Assert(t, resumes(one, two))
		assert.Assert(t, resumes(two, one))
		assert.Assert(t, !resumes(one, strangers), "the keys are another stack's")

		before, between := tls.NewLRUClientSessionCache(1), tls.NewLRUClientSessionCache(1)
		assert.Assert(t, !visit(one, before))
		assert.Assert(t, !visit(one, between))
		keys = settings.RotateTicketKeys(keys)
		two.rotate(keys)
		assert.Assert(t, visit(two, between), "a ticket of the old key at one that has the new ones")
		assert.Assert(t, resumes(two, one), "a ticket of the new key at one that has the old ones")
		one.rotate(keys)
		keys = settings.RotateTicketKeys(keys)
		one.rotate(keys)
		two.rotate(keys)
		assert.Assert(t, !visit(two, before), "its key is gone")
		assert.Assert(t, resumes(one, two))
	}
}

// rotate gives a HAProxy other keys, and waits until it has them.
func (l *proxyLab) rotate(keys settings.Secret) {
	l.t.Helper()
	const taken = "the new configuration is in use"
	before := strings.Count(l.out.String(), taken)
	l.renderItems(ticketItems(l.t, keys), "tickets")
	l.eventually(func() bool { return strings.Count(l.out.String(), taken) > before })
}

// Keys that are none leave the old ones in use.
func TestHAProxyRefusesTicketKeys(t *testing.T) {
	t.Parallel()
	a := newAuthority(t, "servers")
	cert, key := a.issue(t, serverName, "ecdsa")
	certificate := map[string]item{ItemTerminate: {"proxy"}, ItemCertificate: {cert}, ItemPrivateKey: {key}}
	l := newTicketLab(t, certificate, ticketItems(t, settings.RotateTicketKeys("")))
	l.renderItems(map[string]item{ItemTicketKeys: {"never-seen"}}, "tickets")
	l.eventually(func() bool { return strings.Contains(l.out.String(), "the new configuration is refused") })
	assert.Assert(t, !strings.Contains(l.out.String(), "never-seen"))
	_, err := l.tlsClient(8883, &tls.Config{RootCAs: a.pool()})
	assert.NilError(t, err)
	// Without keys there are no tickets: theirs would be as old as the process.
	v := testVars()
	v.TLSAtProxy = true
	assert.Assert(t, cmp.Contains(renderHAProxy(t, envOf(t, v), held(v)), "prefer-client-ciphers no-tls-tickets\n"))
	v.TLSTickets = true
	config := renderHAProxy(t, envOf(t, v), held(v))
	assert.Assert(t, !strings.Contains(config, "no-tls-tickets"))
	assert.Equal(t, strings.Count(config, `tls-ticket-keys "${CERTIFICATES}/tickets"`), 2)
}
