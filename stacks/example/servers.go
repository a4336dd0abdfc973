package example

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/emqx-oci/emqx-oci/components/settings"
)

// Answering makes the Nomad and the Consul of a configuration answer, until stop
// is called: a preview of the whole program asks both for their leader, and Nomad for its
// opinion of the jobs, against which it has nothing.
func Answering(config map[string]string) (stop func(), err error) {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening in Nomad's and Consul's place: %w", err)
	}
	server := &http.Server{
		ReadHeaderTimeout: time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.URL.Path == "/v1/status/leader":
				_, _ = fmt.Fprint(w, `"10.0.2.10:4647"`)
			case strings.HasPrefix(r.URL.Path, "/v1/namespace/"):
				_ = json.NewEncoder(w).Encode(map[string]string{"Name": strings.TrimPrefix(r.URL.Path, "/v1/namespace/")})
			case r.URL.Path == "/v1/jobs/parse":
				_, _ = fmt.Fprint(w, `{"ID": "job"}`)
			case r.URL.Path == "/v1/validate/job", r.URL.Path == "/v1/job/job/plan":
				_, _ = fmt.Fprint(w, `{}`)
			default:
				http.NotFound(w, r)
			}
		}),
	}
	go func() { _ = server.Serve(l) }()
	stop = func() { _ = server.Close() }
	for _, group := range []string{"nomad", "consul"} {
		key := settings.Project + ":" + group
		fields := map[string]any{}
		if err := json.Unmarshal([]byte(config[key]), &fields); err != nil {
			stop()
			return nil, fmt.Errorf("reading %s: %w", key, err)
		}
		fields["address"] = "http://" + l.Addr().String()
		body, err := json.Marshal(fields)
		if err != nil {
			stop()
			return nil, err
		}
		config[key] = string(body)
	}
	return stop, nil
}
