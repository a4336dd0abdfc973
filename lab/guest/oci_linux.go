package guest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// CLIRequest and CLIReply travel over the instance's socket for one `oci` call.
type CLIRequest struct {
	Args []string `json:"args"`
}

// CLIReply is what the command prints and its exit code.
type CLIReply struct {
	Stdout string `json:"stdout"`
	Stderr string `json:"stderr"`
	Exit   int    `json:"exit"`
}

// OCI is the `oci` command: it hands its arguments to the lab's cloud, which
// knows the caller by the socket, as the real one does by instance principal.
func OCI(args []string, stdout, stderr io.Writer) int {
	body, err := json.Marshal(CLIRequest{Args: args})
	if err != nil {
		fmt.Fprintf(stderr, "oci: %v\n", err)
		return 1
	}
	client := http.Client{
		Timeout: 20 * time.Minute, // the longest --wait-for-state of the real command
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", APISocket)
		}},
	}
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "http://lab/cli", bytes.NewReader(body))
	if err != nil {
		fmt.Fprintf(stderr, "oci: %v\n", err)
		return 1
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		fmt.Fprintf(stderr, "oci: reaching the lab's cloud: %v\n", err)
		return 1
	}
	defer resp.Body.Close()
	var r CLIReply
	if err := json.NewDecoder(resp.Body).Decode(&r); err != nil {
		fmt.Fprintf(stderr, "oci: reading the cloud's answer (%s): %v\n", resp.Status, err)
		return 1
	}
	fmt.Fprint(stdout, r.Stdout)
	fmt.Fprint(stderr, r.Stderr)
	return r.Exit
}
