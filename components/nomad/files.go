package nomad

import (
	_ "embed" // the job files
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// EMQXJob is the job file of the cluster, with the variables of [EMQXVars]. It
// reads its secrets from the Nomad variable "nomad/jobs/" + [cluster.EMQXJobID].
//
//go:embed files/emqx.nomad.hcl
var EMQXJob string

// EMQXRun is the script that runs EMQX in its container: it waits until no other broker
// has the volume, moves the clients of a node that stops, and makes one that is no
// longer wanted leave the cluster.
//
//go:embed files/emqx-run.sh
var EMQXRun string

// EMQXMove is the script that moves connected clients to other nodes, sessions
// kept: "/bin/bash ${NOMAD_TASK_DIR}/move.sh COUNT|all RATE" in the task. Each line
// of its output is how many it has moved so far.
//
//go:embed files/move.sh
var EMQXMove string

// EMQXHolds is the script that tells whether this allocation's broker has the volume.
//
//go:embed files/holds.sh
var EMQXHolds string

// EMQXTakeover is the Erlang module that the run script loads into the broker: a session
// that comes from another node waits until nothing is on its way to that one any more.
//
//go:embed files/emqx_oci_takeover.erl
var EMQXTakeover string

// EMQXDevices is the Erlang module that the run script loads into the broker where devices
// show certificates: a device of that kind gets in without a password.
//
//go:embed files/emqx_oci_devices.erl
var EMQXDevices string

// EMQXListeners is the script that asks the listeners of the task that it runs in, as
// the proxy's checks do: a line for each of mqtt, mqtts, ws, wss that the task has, which
// is its name and "ok", or its name and what is wrong. It exits with 2 when one does not
// stand.
//
//go:embed files/listeners.sh
var EMQXListeners string

// Seconds is d in whole seconds, rounded up: "90s", which Nomad reads, and programs that
// know no "1m30s".
func Seconds(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10) + "s"
}

// hclMap is m as an HCL2 expression, keys sorted.
func hclMap(m map[string]string) string {
	pairs := make([]string, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		pairs = append(pairs, hclString(k)+" = "+hclString(m[k]))
	}
	return "{" + strings.Join(pairs, ", ") + "}"
}

// VariablesFile are the values of hcl2.vars as a variables file, which is how Nomad's
// servers read them. The provider takes them as a command line does: a map is an
// expression, all else is text. Which are maps, in every job file that has
// them, is mapVars.
func VariablesFile(vars map[string]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		value := hclString(vars[name])
		if slices.Contains(mapVars, name) {
			value = vars[name]
		}
		fmt.Fprintf(&b, "%s = %s\n", name, value)
	}
	return b.String()
}

// mapVars are the variables that are maps, in every job file that has them.
var mapVars = []string{"authorities", "broker_ports", "extra_env", "limits", "per_client", "ports", "rates"}

// hclString is s as an HCL2 string literal. In one, "${" and "%{" begin an
// expression: doubled, they are themselves.
func hclString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	runes := []rune(s)
	for i, r := range runes {
		switch {
		case r == '"' || r == '\\':
			b.WriteRune('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < ' ':
			fmt.Fprintf(&b, `\u%04x`, r)
		case (r == '$' || r == '%') && i+1 < len(runes) && runes[i+1] == '{':
			b.WriteRune(r)
			b.WriteRune(r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
