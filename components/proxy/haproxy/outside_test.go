package haproxy

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"os/exec"
	"strings"
	"testing"

	"gotest.tools/v3/assert"
	"gotest.tools/v3/assert/cmp"

	"github.com/emqx-oci/emqx-oci/components/cluster"
)

// outside lets somebody else write the certificate, and Nomad the file.
func (l *proxyLab) outside(certificate, key string) {
	l.t.Helper()
	l.renderItems(map[string]item{ItemTerminate: {"proxy"}, cluster.ItemCertificate: {certificate}, cluster.ItemPrivateKey: {key}}, "tls.pem")
}

// shown is what the proxy says of the certificate that it shows, and of one that it refused.
func (l *proxyLab) shown() (*x509.Certificate, string) {
	l.t.Helper()
	_, command := Proxy{}.Shown()
	for i := range command {
		command[i] = strings.ReplaceAll(command[i], "/tmp/haproxy", l.dir+"/own")
	}
	out, err := exec.Command(command[0], command[1:]...).CombinedOutput()
	assert.NilError(l.t, err, "%s", out)
	assert.Assert(l.t, !strings.Contains(string(out), "PRIVATE"), "a key is shown")
	block, rest := pem.Decode(out)
	assert.Assert(l.t, block != nil, "%s", out)
	c, err := x509.ParseCertificate(block.Bytes)
	assert.NilError(l.t, err)
	return c, string(rest)
}

// A certificate that somebody else renews, in a variable of its own: one that is broken, or taken away, leaves the one in
// use, and says so; a new one reaches those who come, and nobody who is there is cut.
func TestHAProxyTakesACertificateFromOutside(t *testing.T) {
	t.Parallel()
	first, second := newAuthority(t, "first"), newAuthority(t, "second")
	l := prepareProxyLab(t, 2, nil)
	l.job.TLSAtProxy, l.job.TLSOutside = true, true
	l.write(l.config())
	l.outside(first.issue(t, serverName, "ecdsa"))
	l.start()
	end := l.flow()
	old, err := l.tlsClient(8883, &tls.Config{RootCAs: first.pool()})
	assert.NilError(t, err)
	c, refused := l.shown()
	assert.Equal(t, c.Issuer.CommonName, "first")
	assert.Equal(t, refused, "")

	certificate, key := second.issue(t, serverName, "ecdsa")
	_, another := second.issue(t, serverName, "ecdsa")
	for n, broken := range [][2]string{{certificate, another}, {certificate[:len(certificate)/2], key}, {"", ""}, {"nonsense", "nonsense"}} {
		l.outside(broken[0], broken[1])
		l.eventually(func() bool { return strings.Count(l.out.String(), "the new configuration is refused") == n+1 })
		c, refused = l.shown()
		assert.Equal(t, c.Issuer.CommonName, "first")
		assert.Assert(t, cmp.Contains(refused, "tls.pem"))
		_, err := l.tlsClient(8883, &tls.Config{RootCAs: first.pool()})
		assert.NilError(t, err)
	}

	// Whoever writes it has line ends of his own.
	l.outside(strings.ReplaceAll(certificate, "\n", "\r\n"), key)
	l.eventually(func() bool { return strings.Contains(l.out.String(), "the new configuration is in use") })
	for _, port := range []int{8883, 8084} {
		_, err := l.tlsClient(port, &tls.Config{RootCAs: second.pool()})
		assert.NilError(t, err)
	}
	c, refused = l.shown()
	assert.Equal(t, c.Issuer.CommonName, "second")
	assert.Equal(t, refused, "")
	assert.Assert(t, lives(old))
	_, faults := end()
	assert.DeepEqual(t, faults, []string(nil))
}

// The variable of the group is one that the job alone may read, and its path is the same in the job's text and here.
func TestTheCertificateFromOutsideIsInTheGroupsVariable(t *testing.T) {
	v := testVars()
	v.TLSAtProxy, v.TLSOutside = true, true
	job := testJob(t, v)
	path := Proxy{}.CertificateVariable("lab")
	assert.Equal(t, path, "nomad/jobs/"+*job.ID+"/"+*job.TaskGroups[0].Name)
	for _, x := range job.TaskGroups[0].Tasks[0].Templates {
		if strings.HasSuffix(*x.DestPath, "/tls.pem") {
			assert.Assert(t, cmp.Contains(*x.EmbeddedTmpl, `nomadVar "`+path+`"`))
			assert.Assert(t, !strings.Contains(*x.EmbeddedTmpl, "tls_private_key"))
			return
		}
	}
	t.Fatal("the job has no tls.pem")
}
