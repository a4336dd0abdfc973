//go:build lab && linux

package gates

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/internal/agenttest"
)

// lookupSession is a node in namespaces: a real Consul, and dnsmasq as the boot script sets
// it up, or Consul alone on the port of DNS. $1 is a folder, $2 Consul, $3 its settings,
// $4 the number of members, $5 what names come from, $6 whether they come late; then follows the lookup.
const lookupSession = `
set -eu
T=$1 N=$4
mount --make-rprivate /
ip link set lo up
echo 'nameserver 127.0.0.1' >"$T/resolv.conf"
mount --bind "$T/resolv.conf" /etc/resolv.conf
port=8600; [ "$5" = dnsmasq ] || port=53
"$2" agent -dev -bind=127.0.0.1 -node=srv -disable-host-node-id -log-level=warn -dns-port=$port -hcl="$3" >"$T/log" 2>&1 &
until curl -fsS http://127.0.0.1:8500/v1/status/leader 2>/dev/null | grep -q :; do sleep 0.1; done
for i in $(seq 0 $((N - 1))); do
  curl -fsS -o /dev/null -X PUT http://127.0.0.1:8500/v1/catalog/register -d '{"Node":"members","Address":"192.0.2.1","Service":{"ID":"m-'"$i"'",
    "Service":"emqx-cluster","Tags":["lab"],"Port":4370,"Address":"emqx-lab-'"$i"'.node.dc1.consul"}}'
done
if [ "$5" = dnsmasq ]; then
  printf '%s\n' listen-address=127.0.0.1 bind-interfaces no-negcache no-resolv 'server=/consul/127.0.0.1#8600' >"$T/dnsmasq"
  dnsmasq --conf-file="$T/dnsmasq" --pid-file="$T/pid" --user=root
fi
if [ "$6" = late ]; then # the first question is lost on its way
  nft 'add table ip t; add chain ip t in { type filter hook input priority 0; }; add rule ip t in udp dport 53 drop'
  { sleep 1; nft flush ruleset; } &
fi
timeout 14 bash -c "$7" lookup "$8" "$9"
`

// What a task hears of many members, through all that its question passes on a node.
func TestTheNameIsAskedAsEMQXAsks(t *testing.T) {
	consul := agenttest.Tool(t, "consul")
	agenttest.Tool(t, "dnsmasq")
	question, err := new(dns.Msg).SetQuestion(dns.Fqdn(labDiscovery), dns.TypeSRV).Pack()
	assert.NilError(t, err)
	framed := append([]byte{0, byte(len(question))}, question...)
	for _, c := range []struct {
		config, names string
		members, want int
		when          string
	}{
		{"", "dnsmasq", 5, 3, ""},
		{"", "Consul", 5, 3, ""},
		{"dns_config { udp_answer_limit = 100 }", "Consul", 15, 0, ""}, // fewer than all, and no word of it
		{"dns_config { enable_truncate = true }", "dnsmasq", 5, 5, ""},
		{"dns_config { enable_truncate = true }", "dnsmasq", 5, 5, "late"},
		{"dns_config { enable_truncate = true }", "dnsmasq", 32, 32, ""},
		{"dns_config { enable_truncate = true }", "Consul", 32, 32, ""},
	} {
		t.Run(fmt.Sprintf("%d members, %s, %s %s", c.members, c.names, c.config, c.when), func(t *testing.T) {
			dir := t.TempDir()
			out, err := exec.Command("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "bash", "-c", lookupSession, "session",
				dir, consul, c.config, fmt.Sprint(c.members), c.names, c.when, lookupScript, escaped(question), escaped(framed)).Output()
			assert.NilError(t, err, "see %s", filepath.Join(dir, "log"))
			hosts, err := targets(strings.TrimSpace(string(out)))
			assert.NilError(t, err)
			if c.want == 0 {
				assert.Assert(t, len(hosts) < c.members, "%v", hosts)
				return
			}
			assert.Equal(t, len(hosts), c.want, "%v", hosts)
		})
	}
}
