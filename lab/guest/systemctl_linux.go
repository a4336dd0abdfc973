package guest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
)

// Systemctl is the command of that name: it asks PID 1 and returns the exit code.
func Systemctl(args []string, stdout, stderr io.Writer) int {
	var q request
	quiet := false
	for _, a := range args {
		switch {
		case a == "--now":
			q.Now = true
		case a == "--no-block":
			q.NoBlock = true
		case a == "-q" || a == "--quiet":
			quiet = true
		case a == "--no-pager" || a == "--system" || a == "-l" || a == "--full" || a == "-f" || a == "--force":
		case strings.HasPrefix(a, "-"):
			fmt.Fprintf(stderr, "systemctl: the lab does not know the option %s\n", a)
			return 1
		case q.Verb == "":
			q.Verb = a
		default:
			q.Units = append(q.Units, a)
		}
	}
	if q.Verb == "" {
		fmt.Fprintln(stderr, "systemctl: which verb? The lab knows daemon-reload, enable, disable, start, stop, restart, reload, reload-or-restart, is-active, is-enabled, status")
		return 1
	}
	conn, err := (&net.Dialer{}).DialContext(context.Background(), "unix", ControlSocket)
	if err != nil {
		fmt.Fprintf(stderr, "systemctl: asking PID 1: %v\n", err)
		return 1
	}
	defer conn.Close()
	if err := json.NewEncoder(conn).Encode(q); err != nil {
		fmt.Fprintf(stderr, "systemctl: asking PID 1: %v\n", err)
		return 1
	}
	var r reply
	if err := json.NewDecoder(conn).Decode(&r); err != nil {
		fmt.Fprintf(stderr, "systemctl: reading PID 1's answer: %v\n", err)
		return 1
	}
	if !quiet {
		fmt.Fprint(stdout, r.Out)
	}
	fmt.Fprint(stderr, r.Err)
	return r.Code
}
