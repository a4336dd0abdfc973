package providers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/emqx-oci/emqx-oci/lab/providers/consul"
	"github.com/emqx-oci/emqx-oci/lab/providers/nomad"
	"github.com/emqx-oci/emqx-oci/lab/providers/oci"
	"github.com/emqx-oci/emqx-oci/lab/providers/rpc"
)

// Backend is the cloud behind the oci provider; *cloud.Cloud is one.
type Backend = oci.Backend

// Config says what the providers work on.
type Config struct {
	// Required: the lab's cloud.
	OCI Backend

	// Optional: the part of OCI's time that the cloud's operations take; the oci provider
	// waits as the official one does in that time. 0: they take none.
	Pace float64
	// Optional: addresses for programs that configure none, for example
	// http://127.0.77.1:4646.
	NomadAddr, ConsulAddr string
	// Optional: the host to listen on, default 127.0.0.1, which is where the engine
	// looks: it is given ports and no hosts.
	Listen string
	// Optional: gets a line about callers that are refused.
	Log func(format string, args ...any)
}

// Servers are the three listening providers.
type Servers struct {
	names   []string
	servers map[string]*rpc.Server
	stop    func() bool
}

// Serve starts the providers. They end with ctx or with Close.
func Serve(ctx context.Context, c Config) (*Servers, error) {
	if c.OCI == nil {
		return nil, errors.New("starting the lab's providers: no cloud is given")
	}
	host := c.Listen
	if host == "" {
		host = "127.0.0.1"
	}
	s := &Servers{servers: map[string]*rpc.Server{}}
	for _, p := range []rpc.Plugin{oci.Plugin(c.OCI, c.Pace), nomad.Plugin(c.NomadAddr), consul.Plugin(c.ConsulAddr)} {
		server, err := rpc.Serve(ctx, host+":0", p, c.Log)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("starting the lab's providers: %w", err), s.Close())
		}
		s.names = append(s.names, p.Name)
		s.servers[p.Name] = server
	}
	s.stop = context.AfterFunc(ctx, func() { _ = s.close() })
	return s, nil
}

// Env is the value of PULUMI_DEBUG_PROVIDERS that attaches the engine:
// oci:P,nomad:P,consul:P.
func (s *Servers) Env() string {
	parts := make([]string, 0, len(s.names))
	for _, name := range s.names {
		parts = append(parts, fmt.Sprintf("%s:%d", name, s.servers[name].Port()))
	}
	return strings.Join(parts, ",")
}

// Close ends them; calls in flight have two seconds.
func (s *Servers) Close() error {
	if s.stop != nil {
		s.stop()
	}
	return s.close()
}

func (s *Servers) close() error {
	errs := make([]error, len(s.names))
	var wg sync.WaitGroup
	for i, name := range s.names {
		wg.Go(func() { errs[i] = s.servers[name].Close() })
	}
	wg.Wait()
	return errors.Join(errs...)
}
