package haproxy

import (
	"bufio"
	"io"
	"regexp"
	"strings"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/nomad"
)

// Both say the same, byte for byte: what HAProxy calls a listener is what the stack's
// own questions call it.
func TestHAProxyAsksAsTheScriptDoes(t *testing.T) {
	for name, x := range map[string]struct {
		atProxy bool
		clients string
	}{"passed through": {}, "ended here": {true, "none"}, "ended here, with certificates": {true, "optional"}} {
		t.Run(name, func(t *testing.T) {
			v := testVars()
			v.TLSAtProxy, v.TLSClients = x.atProxy, x.clients
			asksAsTheScriptDoes(t, renderHAProxy(t, envOf(t, v), held(v)), x.atProxy)
		})
	}
}

func asksAsTheScriptDoes(t *testing.T, config string, atProxy bool) {
	t.Helper()
	said := map[string]string{} // by the backend of the checks
	backend := ""
	for line := range strings.Lines(config) {
		if name, ok := strings.CutPrefix(line, "backend "); ok {
			backend = strings.TrimPrefix(strings.TrimSpace(name), "seen-")
		}
		if _, text, ok := strings.Cut(line, "tcp-check send-binary "); ok {
			said[backend] += strings.TrimSpace(text)
		}
		if _, text, ok := strings.Cut(line, `tcp-check send "`); ok {
			said[backend] += strings.TrimSuffix(strings.TrimSpace(text), `"`)
		}
	}
	value := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^(header|connect|hello|upgrade)='?(.*?)'?$`).FindAllStringSubmatch(nomad.EMQXListeners, -1) {
		value[m[1]] = m[2]
	}
	want := map[string]string{"mqtt": value["header"] + value["connect"], "ws": value["header"] + value["upgrade"]}
	if !atProxy {
		want["mqtts"] = value["header"] + value["hello"]
		want["wss"] = want["mqtts"]
	}
	assert.DeepEqual(t, said, want)
}

// connect is a whole CONNECT of MQTT 3.1.1.
const connect = "\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04test"

// helloAt is what a client says first at a listener's port, or HAProxy ends it.
func helloAt(port int) string {
	if port == 8083 || port == 8084 {
		return "GET "
	}
	return connect
}

// skipHello reads it away: the rest is said again to the client.
func skipHello(r *bufio.Reader) {
	switch first, err := r.Peek(1); {
	case err != nil:
	case first[0] == connect[0]:
		_, _ = r.Discard(len(connect))
	case first[0] == 'G':
		_, _ = r.Discard(len("GET "))
	}
}

// checkPort is the source's port in the PROXY header of a check.
const checkPort = 1

// answerCheck answers what HAProxy asks a listener, as EMQX does.
func answerCheck(w io.Writer, r *bufio.Reader) {
	first, err := r.Peek(1)
	if err != nil {
		return
	}
	answer := map[byte]string{0x10: "\x20\x02\x00\x01", 'G': "HTTP/1.1 101 Switching Protocols\r\n\r\n", 0x16: "\x16\x03\x03\x00\x5a\x02\x00\x00\x56\x03\x03"}
	_, _ = io.WriteString(w, answer[first[0]])
}
