package nomad

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"
	"gotest.tools/v3/assert"
)

// The ClientHello is one, and a server of TLS 1.3 asks for a key share before it signs
// anything; one of TLS 1.2 begins its handshake.
func TestTheClientHelloIsAnswered(t *testing.T) {
	m := regexp.MustCompile(`(?m)^hello=(.*)$`).FindStringSubmatch(EMQXListeners)
	assert.Assert(t, m != nil)
	hello, err := hex.DecodeString(m[1])
	assert.NilError(t, err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	assert.NilError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	assert.NilError(t, err)
	cert := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	for _, version := range []uint16{tls.VersionTLS13, tls.VersionTLS12} {
		client, server := net.Pipe()
		go func() {
			_ = tls.Server(server, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, MaxVersion: version}).Handshake()
		}()
		go func() { _, _ = client.Write(hello) }()
		answer := make([]byte, 6)
		_ = client.SetReadDeadline(time.Now().Add(5 * time.Second))
		_, err := io.ReadFull(client, answer)
		assert.NilError(t, err)
		assert.Equal(t, answer[0], byte(0x16), "a handshake, no alert")
		assert.Equal(t, answer[5], byte(2), "ServerHello")
		_ = client.Close()
		_ = server.Close()
	}
}

// listenersOf runs the script for one listener that is where says.
func listenersOf(t *testing.T, listeners map[string]string) (lines []string, code int) {
	t.Helper()
	return listenersBy(t, "/usr/bin:/bin", listeners)
}

// listenersBy runs it with other programs.
func listenersBy(t *testing.T, path string, listeners map[string]string) (lines []string, code int) {
	t.Helper()
	cmd := exec.Command("bash", "-c", EMQXListeners)
	for name, address := range listeners {
		_, port, _ := strings.Cut(address, ":")
		cmd.Env = append(cmd.Env, "NOMAD_ADDR_"+name+"="+address, "NOMAD_PORT_"+name+"="+port)
	}
	cmd.Env = append(cmd.Env, "PATH="+path)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, _ := cmd.Output()
	assert.Equal(t, errs.String(), "")
	lines = strings.Split(strings.TrimSpace(string(out)), "\n")
	slices.Sort(lines)
	return lines, cmd.ProcessState.ExitCode()
}

// serveOnce answers each connection with a text once it has read a PROXY header with an
// address, and something behind it.
func serveOnce(t *testing.T, answer string) string {
	t.Helper()
	return serveWithin(t, 5*time.Second, answer)
}

// serveWithin waits for the header for so long.
func serveWithin(t *testing.T, patience time.Duration, answer string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	assert.NilError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				_ = c.SetDeadline(time.Now().Add(patience))
				// As EMQX's WebSocket listeners read it: what the first read brings.
				first := make([]byte, 4096)
				n, err := c.Read(first)
				if err != nil {
					return
				}
				h, err := proxyproto.Read(bufio.NewReader(bytes.NewReader(first[:n])))
				if err != nil || h.Command != proxyproto.PROXY || h.SourceAddr == nil {
					return
				}
				_, _ = io.WriteString(c, answer)
			}()
		}
	}()
	return l.Addr().String()
}

func TestListenersScriptTellsWhatStands(t *testing.T) {
	t.Parallel()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	assert.NilError(t, err)
	gone := closed.Addr().String()
	assert.NilError(t, closed.Close())
	record := "\x16\x03\x03\x00\x5a\x02\x00\x00\x56\x03\x03\x00"
	well := map[string]string{
		"mqtt": serveOnce(t, "\x20\x02\x00\x01"), "ws": serveOnce(t, "HTTP/1.1 101 Switching Protocols\r\n"),
		"mqtts": serveOnce(t, record), "wss": serveOnce(t, record),
	}
	lines, code := listenersOf(t, well)
	assert.DeepEqual(t, lines, []string{"mqtt ok", "mqtts ok", "ws ok", "wss ok"})
	assert.Equal(t, code, 0)
	busy := serveOnce(t, "\x20\x02\x00\x03") // CONNACK 3: server unavailable
	lines, code = listenersOf(t, map[string]string{
		"mqtt": busy, "ws": serveOnce(t, "HTTP/1.1 404 Not Found\r\n"), "mqtts": gone, "wss": serveOnce(t, "\x15\x03\x03\x00\x02\x02\x28"),
	})
	assert.Equal(t, code, 2, "to Consul 1 is a warning")
	assert.Equal(t, len(lines), 4)
	for i, want := range []string{"mqtt takes connections", "mqtts refuses connections at " + gone, "ws takes connections", "wss takes connections"} {
		assert.Assert(t, strings.HasPrefix(lines[i], want), lines[i])
	}
	// A stack without a certificate has two.
	lines, code = listenersOf(t, map[string]string{"mqtt": well["mqtt"], "ws": well["ws"]})
	assert.DeepEqual(t, lines, []string{"mqtt ok", "ws ok"})
	assert.Equal(t, code, 0)
}

// A node without processor time sends its question late, to a listener that waits 1 s for it,
// and a broker without any answers late: nobody knows whether they stand.
func TestListenersScriptTellsLateFromOff(t *testing.T) {
	t.Parallel()
	slowly := func(late int) (path string) {
		slow := t.TempDir()
		// It is late as often as there are names in its way.
		text := fmt.Sprintf("#!/bin/bash\nfor i in $(seq %d); do mkdir %s/$i 2>/dev/null && { sleep 1.2; break; }; done\nexec /usr/bin/dd \"$@\"\n", late, slow)
		assert.NilError(t, os.WriteFile(filepath.Join(slow, "dd"), []byte(text), 0o755))
		return slow + ":/usr/bin:/bin"
	}
	for late, want := range map[int]string{1: "ws ok", 100: "ws late: no answer from %s in time"} {
		t.Run(fmt.Sprint(late), func(t *testing.T) {
			t.Parallel()
			address := serveWithin(t, time.Second, "HTTP/1.1 101 Switching Protocols\r\n")
			lines, code := listenersBy(t, slowly(late), map[string]string{"ws": address})
			if late > 1 {
				want = fmt.Sprintf(want, address)
			}
			assert.DeepEqual(t, lines, []string{want})
			assert.Equal(t, code, min(1, late-1), "to Consul 1 is a warning")
		})
	}
	t.Run("a broker that hangs", func(t *testing.T) {
		t.Parallel()
		l, err := net.Listen("tcp", "127.0.0.1:0")
		assert.NilError(t, err)
		t.Cleanup(func() { _ = l.Close() })
		lines, code := listenersOf(t, map[string]string{"mqtt": l.Addr().String()})
		assert.DeepEqual(t, lines, []string{"mqtt late: no answer from " + l.Addr().String() + " in time"})
		assert.Equal(t, code, 1)
	})
}
