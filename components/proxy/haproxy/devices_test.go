package haproxy

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/certs"
	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/settings"
)

// A certificate in the list of revoked devices is refused once HAProxy says that it has read the list, also to a client
// that resumes a session; others are served on, and nobody is cut.
func TestHAProxyRefusesRevokedDevices(t *testing.T) {
	t.Parallel()
	servers, clients, devices := newAuthority(t, "servers"), newAuthority(t, "clients"), newAuthority(t, "devices")
	gate, err := (&settings.Settings{Environment: "lab"}).GateAuthority()
	assert.NilError(t, err)
	for _, asked := range []string{settings.ClientsOptional, settings.ClientsRequired} {
		t.Run(asked, func(t *testing.T) {
			l := newTLSLab(t, 1, servers, "ecdsa", func(v *Vars) { v.TLSClients, v.TLSDevices = asked, true })
			l.renderItems(map[string]item{ItemClientCA: {clientAuthorities(settings.TLS{
				ClientCA: settings.Secret(clients.pem()), DeviceCA: settings.Secret(devices.pem()),
			}, gate.Certificate)}}, "ca.pem")
			l.render("revoked.map", "\n")
			l.start()
			client := func(name string, a *authority) (*tls.Config, string) {
				cert, key := a.issue(t, name, "ecdsa")
				pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
				assert.NilError(t, err)
				block, _ := pem.Decode([]byte(cert))
				x, err := x509.ParseCertificate(block.Bytes)
				assert.NilError(t, err)
				return &tls.Config{RootCAs: servers.pool(), Certificates: []tls.Certificate{pair}, ClientSessionCache: tls.NewLRUClientSessionCache(1)}, certs.Serial(x)
			}
			_, _ = client("another number than the next", devices)
			meter, serial := client("meter", devices)
			stays, _ := client("stays", devices)
			other, _ := client("other", clients)
			var there []*tls.Conn
			for _, c := range []*tls.Config{meter, stays, other} {
				for _, port := range []int{8883, 8084} {
					conn, err := l.tlsClient(port, c)
					assert.NilError(t, err)
					there = append(there, conn)
				}
			}
			inUse := func() string {
				text, err := os.ReadFile(filepath.Join(l.dir, "own", "revoked.inuse"))
				assert.NilError(t, err)
				return string(text)
			}
			assert.Equal(t, inUse(), "\n")

			list := fmt.Sprintf("40AB %d\n%s %[1]d\n", time.Now().Add(time.Hour).Unix(), serial)
			l.render("revoked.map", list)
			l.eventually(func() bool { return inUse() == list })
			for name, c := range map[string]*tls.Config{"meter": meter, "stays": stays, "other": other} {
				for _, port := range []int{8883, 8084} {
					_, err := l.tlsClient(port, c)
					assert.Equal(t, err == nil, name != "meter", "%s at %d: %v", name, port, err)
				}
			}
			for _, conn := range there {
				assert.Assert(t, lives(conn), "EMQX cuts who has to go")
			}
		})
	}
}

// Of a session that is resumed the certificate is looked at all the same.
func TestARevokedDeviceResumesNoSession(t *testing.T) {
	t.Parallel()
	servers, devices := newAuthority(t, "servers"), newAuthority(t, "devices")
	l := newTLSLab(t, 1, servers, "ecdsa", func(v *Vars) { v.TLSClients, v.TLSDevices = settings.ClientsRequired, true })
	l.renderItems(map[string]item{ItemClientCA: {devices.pem()}}, "ca.pem")
	cert, key := devices.issue(t, "meter", "ecdsa")
	pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
	assert.NilError(t, err)
	block, _ := pem.Decode([]byte(cert))
	x, err := x509.ParseCertificate(block.Bytes)
	assert.NilError(t, err)
	l.render("revoked.map", "\n")
	l.start()
	kept := &tls.Config{RootCAs: servers.pool(), Certificates: []tls.Certificate{pair}, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	for _, resumed := range []bool{false, true} {
		conn, err := l.tlsClient(8883, kept)
		assert.NilError(t, err)
		assert.Equal(t, conn.ConnectionState().DidResume, resumed)
		_ = conn.Close()
	}
	// Into the process that has the session: after a reload there is another.
	admin, err := net.Dial("unix", filepath.Join(l.dir, "haproxy.sock"))
	assert.NilError(t, err)
	_, err = fmt.Fprintf(admin, "add map %s/own/revoked.map %s 1\n", l.dir, certs.Serial(x))
	assert.NilError(t, err)
	said, err := io.ReadAll(admin)
	assert.NilError(t, err)
	assert.Equal(t, strings.TrimSpace(string(said)), "")
	_, err = l.tlsClient(8883, kept)
	assert.Assert(t, err != nil)
}

// The key that the job reads is the one that is written.
func TestTheListOfRevokedDevicesIsInConsul(t *testing.T) {
	v := testVars()
	v.TLSAtProxy, v.TLSClients, v.TLSDevices = true, settings.ClientsOptional, true
	found := ""
	for _, x := range testJob(t, v).TaskGroups[0].Tasks[0].Templates {
		if filepath.Base(*x.DestPath) == "revoked.map" {
			found = *x.EmbeddedTmpl
		}
	}
	assert.Assert(t, strings.Contains(found, `keyOrDefault "`+cluster.RevokedKey(v.Environment)+`" ""`), found)
	v.TLSDevices = false
	for _, x := range testJob(t, v).TaskGroups[0].Tasks[0].Templates {
		assert.Assert(t, filepath.Base(*x.DestPath) != "revoked.map")
	}
}
