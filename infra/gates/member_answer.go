package gates

import (
	"bufio"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// askScript is what the member's own task runs to answer.
//
//go:embed files/ask.sh
var askScript string

// timeoutExit is the exit code of timeout(1) when the time is over.
const timeoutExit = 124

func askCommand() []string {
	return []string{"timeout", strconv.Itoa(int(askTime.Seconds())), "/bin/bash", "-c", askScript}
}

// answerMark stands before each part of the script's output.
const answerMark = "\n--- "

// memberAnswers are the parts of the script's output.
type memberAnswers struct {
	open    bool      // its API takes connections
	born    time.Time // the folder of its data; zero: not known
	noData  bool      // there is no such folder
	cluster string    // HTTP answers
	stats   string
	nodes   string
	refused bool // it does not take the key
}

func splitMemberAnswers(output string) (a memberAnswers) {
	for _, part := range strings.Split("\n"+output, answerMark) {
		name, text, _ := strings.Cut(part, "\n")
		switch name {
		case "born":
			at, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
			if err == nil && at > 0 {
				a.born = time.Unix(at, 0)
			}
			a.noData = strings.TrimSpace(text) == "none"
		case "cluster":
			a.open, a.cluster = true, text
		case "stats":
			a.stats = text
		case "nodes":
			a.nodes = text
		}
	}
	status, _, _ := httpAnswer(a.cluster)
	a.refused = status == http.StatusUnauthorized || status == http.StatusForbidden || status == http.StatusNotFound
	return a
}

func httpAnswer(text string) (status int, body []byte, err error) {
	r, err := http.ReadResponse(bufio.NewReader(strings.NewReader(text)), nil)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = r.Body.Close() }()
	body, err = io.ReadAll(r.Body)
	return r.StatusCode, body, err
}

// httpJSON decodes an answer of the REST API.
func httpJSON(text string, into any) error {
	status, body, err := httpAnswer(text)
	switch {
	case err != nil:
		return fmt.Errorf("reading its API's answer: %w", err)
	case status != http.StatusOK:
		return fmt.Errorf("its API answers %d %s: %s", status, http.StatusText(status), OneLine(string(body)))
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("its API's answer is no JSON (%w): %s", err, OneLine(string(body)))
	}
	return nil
}

var memberMetric = regexp.MustCompile(`(?m)^emqx_(live_connections_count|sessions_count|cluster_nodes_stopped)(?:\{[^}]*\})? (\d+)\s*$`)

// read takes over who runs from /api/v5/cluster, which is the member's own list and
// waits for nobody, and how many are stopped from its metrics. Names of those are in
// /api/v5/nodes alone, which asks every member that runs, for 30 s if need be: the
// script asks it only where there is somebody to name.
func (v *MemberView) read(a memberAnswers) {
	var cluster struct {
		Nodes []string `json:"nodes"`
	}
	if err := httpJSON(a.cluster, &cluster); err != nil {
		v.Says = err.Error()
		return
	}
	counted := false
	for _, m := range memberMetric.FindAllStringSubmatch(a.stats, -1) {
		n, err := strconv.Atoi(m[2])
		if err != nil {
			continue
		}
		switch m[1] {
		case "live_connections_count":
			v.Clients = &n
		case "sessions_count":
			v.Sessions = &n
		default:
			v.Nameless, counted = n, true
		}
	}
	v.Answered, v.Running = true, cluster.Nodes
	if a.nodes == "" && counted {
		return
	}
	var nodes []struct {
		Node   string `json:"node"`
		Status string `json:"node_status"`
	}
	if err := httpJSON(a.nodes, &nodes); err != nil {
		if !counted { // nothing tells whether one is stopped
			v.Answered, v.Late, v.Says = false, a.nodes == "", "it did not tell which members are stopped: "+err.Error()
		}
		return
	}
	v.Nameless = 0
	for _, n := range nodes {
		if n.Status == "stopped" {
			v.Stopped = append(v.Stopped, n.Node)
		}
	}
	slices.Sort(v.Stopped)
}

// readStatus takes over the answer of `emqx ctl cluster status --json`. Warnings may
// come before it, on the same stream.
func (v *MemberView) readStatus(output string) {
	var status struct {
		Running []string `json:"running_nodes"`
		Stopped []string `json:"stopped_nodes"`
	}
	start := max(strings.Index(output, "{"), 0)
	if err := json.NewDecoder(strings.NewReader(output[start:])).Decode(&status); err != nil {
		v.Says = fmt.Sprintf("EMQX's cluster status is no JSON (%s): %s", err, OneLine(output))
		return
	}
	v.Answered, v.Says, v.Running, v.Stopped = true, "", status.Running, status.Stopped
}
