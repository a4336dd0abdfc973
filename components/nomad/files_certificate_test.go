package nomad

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"
	"gotest.tools/v3/assert"
	"gotest.tools/v3/assert/cmp"

	"github.com/emqx-oci/emqx-oci/components/cluster"
)

// selfSigned makes a certificate and its key.
func selfSigned(t *testing.T, name string) (certificate, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	assert.NilError(t, err)
	x := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, x, x, k.Public(), k)
	assert.NilError(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(k)
	assert.NilError(t, err)
	block := func(label string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der}))
	}
	return block("CERTIFICATE", der), block("PRIVATE KEY", keyDER)
}

// certificateFiles writes what Nomad would, each as a whole.
func (n *fakeNode) certificateFiles(certificate, key string) {
	n.t.Helper()
	for name, text := range map[string]string{"tls.crt": certificate, "tls.key": key, "ca.crt": certificate} {
		n.write("next", text, 0o400)
		assert.NilError(n.t, os.Rename(filepath.Join(n.dir, "next"), filepath.Join(n.dir, name)))
	}
}

// EMQX sees only a certificate with its key, wherever it comes from: one that is broken, or goes away, leaves the one in use,
// and is told of.
func TestRunScriptLooksAtCertificates(t *testing.T) {
	t.Parallel()
	n := newFakeNode(t)
	folder := filepath.Join(n.dir, "own")
	first, firstKey := selfSigned(t, "first")
	second, secondKey := selfSigned(t, "second")
	n.certificateFiles(first, firstKey)
	cmd := n.script(0, []string{"run.sh", filepath.Join(n.dir, "broker"), "go"}, "CERTIFICATES="+folder)
	out, err := os.Create(filepath.Join(n.dir, "said"))
	assert.NilError(t, err)
	cmd.Stdout, cmd.Stderr = out, out
	assert.NilError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	shown := func() string {
		_, command := ShownCertificate()
		text, err := exec.Command(command[0], command[1], strings.ReplaceAll(command[2], "/tmp/emqx-certificate", folder)).Output()
		assert.NilError(t, err)
		return string(text)
	}
	within := func(what string, holds func() bool) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); !holds(); time.Sleep(50 * time.Millisecond) {
			assert.Assert(t, time.Now().Before(end), "%s: %s", what, n.read("said"))
		}
	}
	within("the first", func() bool { return shown() == first })

	for _, broken := range []struct{ certificate, key, why string }{
		{second, firstKey, "tls.key is the key of another certificate"},
		{"\n", "\n", "tls.crt is no certificate"},
		{second[:len(second)/2], secondKey, "tls.crt is no certificate"},
		{second, "nonsense\n", "tls.key is no private key"},
	} {
		n.certificateFiles(broken.certificate, broken.key)
		within(broken.why, func() bool { return strings.Contains(shown(), broken.why) })
		assert.Assert(t, strings.HasPrefix(shown(), first))
		_, err = tls.LoadX509KeyPair(filepath.Join(folder, "tls.crt"), filepath.Join(folder, "tls.key"))
		assert.NilError(t, err)
	}

	before := time.Now().Add(-time.Second)
	n.certificateFiles(second, secondKey)
	within("the second", func() bool { return shown() == second })
	_, err = tls.LoadX509KeyPair(filepath.Join(folder, "tls.crt"), filepath.Join(folder, "tls.key"))
	assert.NilError(t, err)
	for _, name := range []string{"tls.crt", "tls.key", "ca.crt"} {
		info, err := os.Stat(filepath.Join(folder, name))
		assert.NilError(t, err)
		assert.Assert(t, info.ModTime().After(before), "EMQX would not read %s again", name)
		assert.Equal(t, info.Mode().Perm()&0o077, os.FileMode(0), name)
	}
	within("its word", func() bool { return strings.Contains(n.read("said"), "certificate: EMQX has a new one") })
	assert.Assert(t, !strings.Contains(n.read("said"), "PRIVATE"))
}

// A node that starts without one does not start a broker that would refuse everybody.
func TestRunScriptStartsWithACertificate(t *testing.T) {
	t.Parallel()
	n := newFakeNode(t)
	n.certificateFiles("\n", "\n")
	out, err := n.script(0, []string{"run.sh", filepath.Join(n.dir, "broker"), "go"}, "CERTIFICATES="+filepath.Join(n.dir, "own")).CombinedOutput()
	assert.ErrorContains(t, err, "exit status 1")
	assert.Assert(t, cmp.Contains(string(out), "certificate: the new one is refused: tls.crt is no certificate"))
}

func TestACertificateFromOutsideIsInTheGroupsVariable(t *testing.T) {
	path := CertificateVariable("lab")
	for _, outside := range []bool{true, false} {
		v := emqxVars()
		v.TLSOutside = outside
		job := emqxJob(t, v)
		assert.Equal(t, path, "nomad/jobs/"+*job.ID+"/"+*job.TaskGroups[0].Name)
		env := job.TaskGroups[0].Tasks[0].Env
		assert.Equal(t, env["EMQX_LISTENERS__SSL__DEFAULT__SSL_OPTIONS__CERTFILE"], `"`+env["CERTIFICATES"]+`/tls.crt"`)
		for file, want := range map[string][2]string{
			"tls.crt": {ItemTLSCert, cluster.ItemCertificate}, "tls.key": {ItemTLSKey, cluster.ItemPrivateKey}, "ca.crt": {ItemTLSCA, cluster.ItemCertificate},
		} {
			text := certificateTemplate(t, job, file)
			assert.Equal(t, strings.Contains(text, `nomadVar "`+path+`"`), outside, text)
			item := want[0]
			if outside {
				item = want[1]
			}
			assert.Assert(t, cmp.Contains(text, `(index . "`+item+`").Value`))
		}
	}
}

func certificateTemplate(t *testing.T, job *api.Job, file string) string {
	t.Helper()
	for _, x := range job.TaskGroups[0].Tasks[0].Templates {
		if strings.HasSuffix(*x.DestPath, "/"+file) {
			return *x.EmbeddedTmpl
		}
	}
	t.Fatalf("the job has no %s", file)
	return ""
}
