//go:build lab

package haproxy

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/settings"
	"github.com/emqx-oci/emqx-oci/internal/agenttest"
	"github.com/emqx-oci/emqx-oci/internal/jobtest"
)

// dialTLS is dial through TLS, and gives who issued the certificate.
func dialTLS(port int) (conn *tls.Conn, issuer string, err error) {
	raw, err := net.DialTimeout("tcp", net.JoinHostPort(jobtest.NodeAddress, fmt.Sprint(port)), 3*time.Second)
	if err != nil {
		return nil, "", err
	}
	conn = tls.Client(raw, &tls.Config{ServerName: serverName, InsecureSkipVerify: true})
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	if err = conn.Handshake(); err != nil {
		_ = raw.Close()
		return nil, "", err
	}
	_, _ = io.WriteString(conn, helloAt(port))
	if _, err = bufio.NewReaderSize(conn, 16).ReadString('\n'); err != nil {
		_ = conn.Close()
		return nil, "", err
	}
	return conn, conn.ConnectionState().PeerCertificates[0].Issuer.CommonName, conn.SetDeadline(time.Time{})
}

// Nomad hands over what somebody writes into the variable of the job's group: a new certificate reaches who comes on both
// protocols; one that is broken, or taken away, does not; and who is connected by any of the four is not cut.
func TestHAProxyJobInNomadTakesACertificateFromOutside(t *testing.T) {
	if !jobtest.InNamespace(t) {
		return
	}
	first, second := newAuthority(t, "first"), newAuthority(t, "second")
	n, c := servers(t)
	putSecrets(t, n, "a-long-password", settings.TerminateProxy)
	path := Proxy{}.CertificateVariable("lab")
	put := func(certificate, key string) {
		t.Helper()
		_, _, err := n.Variables().Update(&api.Variable{Path: path, Items: map[string]string{cluster.ItemCertificate: certificate, cluster.ItemPrivateKey: key}}, nil)
		assert.NilError(t, err)
	}
	put(first.issue(t, serverName, "ecdsa"))
	v := testVars()
	v.NodeCount, v.TLSAtProxy, v.TLSOutside, v.ShutdownDelay, v.KillTimeout = 1, true, true, time.Second, 12*time.Second
	a := jobtest.StartWithoutDocker(t, n, testJob(t, v), agenttest.Tool(t, "sh"), "${NOMAD_TASK_DIR}/run.sh")
	startBroker(t, c, brokerAddresses[0])
	startBroker(t, c, brokerAddresses[1])
	var held []net.Conn
	for _, port := range []int{1883, 8083} {
		jobtest.Eventually(t, fmt.Sprint("port ", port), 30*time.Second, func() error {
			conn, _, err := dial(port)
			if err == nil {
				held = append(held, conn)
			}
			return err
		})
	}
	shows := func(want string) func() error {
		return func() error {
			for _, port := range []int{8883, 8084} {
				conn, issuer, err := dialTLS(port)
				if err != nil {
					return err
				}
				_ = conn.Close()
				if issuer != want {
					return fmt.Errorf("port %d shows a certificate of %q", port, issuer)
				}
			}
			return nil
		}
	}
	jobtest.Eventually(t, "the first", 20*time.Second, shows("first"))
	for _, port := range []int{8883, 8084} {
		conn, _, err := dialTLS(port)
		assert.NilError(t, err)
		held = append(held, conn)
	}
	refused := func(times int) {
		t.Helper()
		jobtest.Eventually(t, "what HAProxy says", 30*time.Second, func() error {
			if out := jobtest.Output(t, a); strings.Count(out, "the new configuration is refused") != times {
				return fmt.Errorf("%s", out)
			}
			return nil
		})
		assert.NilError(t, shows("first")())
	}
	certificate, _ := second.issue(t, serverName, "ecdsa")
	_, another := second.issue(t, serverName, "ecdsa")
	put(certificate, another)
	refused(1)
	_, err := n.Variables().Delete(path, nil)
	assert.NilError(t, err)
	refused(2)
	put(second.issue(t, serverName, "rsa"))
	jobtest.Eventually(t, "the second", 30*time.Second, shows("second"))
	for i, conn := range held {
		assert.NilError(t, echoes(conn), "client %d was cut", i)
	}
	now, _, err := n.Allocations().Info(a.ID, nil)
	assert.NilError(t, err)
	assert.Equal(t, now.TaskStates["haproxy"].Restarts, uint64(0))
	assert.Assert(t, !strings.Contains(jobtest.Output(t, a), "BEGIN"))
}
