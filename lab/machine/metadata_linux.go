package machine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/emqx-oci/emqx-oci/lab/guest"
)

// serveInstance opens what an instance reaches of the cloud: metadata and DNS on
// the link-local address, and the socket of the oci command.
func (m *Machine) serveInstance(ctx context.Context, i *instance) error {
	i.closeServers()
	r := i.get()
	ns := m.ns(r.Short)
	l, err := listenIn(ctx, ns, netip.AddrPortFrom(metadataAddress, 80).String())
	if err != nil {
		return fmt.Errorf("opening the metadata service: %w", err)
	}
	stop := []func(){m.serveHTTP(l, m.metadata(r.Spec.ID))}
	defer func() {
		i.mu.Lock()
		i.stop = append(i.stop, stop...)
		i.mu.Unlock()
	}()
	stopDNS, err := m.serveDNS(ctx, ns, metadataAddress)
	if err != nil {
		return err
	}
	stop = append(stop, stopDNS)
	sock, err := listenUnix(m.path("instances", r.Short, "api", filepath.Base(guest.APISocket)))
	if err != nil {
		return fmt.Errorf("opening the oci command's socket: %w", err)
	}
	stop = append(stop, m.serveHTTP(sock, m.cli(r.Spec.ID)))
	return nil
}

func (m *Machine) serveHTTP(l net.Listener, h http.Handler) (stop func()) {
	s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		if err := s.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) {
			m.cfg.Log("serving %s: %v", l.Addr(), err)
		}
	}()
	return func() { s.Close() }
}

// metadata answers as OCI's service does: of version 2, with its header as proof that
// the request was meant.
func (m *Machine) metadata(id string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.Header.Get("Authorization") != "Bearer Oracle" && !strings.HasPrefix(q.URL.Path, "/opc/v1/") {
			http.Error(w, "the header 'Authorization: Bearer Oracle' is missing", http.StatusUnauthorized)
			return
		}
		h := m.getHandler()
		if h == nil {
			http.Error(w, "the lab's cloud is not open yet", http.StatusServiceUnavailable)
			return
		}
		body, contentType, ok := h.Metadata(id, q.URL.Path)
		if !ok {
			http.NotFound(w, q)
			return
		}
		w.Header().Set("Content-Type", contentType)
		_, _ = w.Write(body) //nolint:gosec // no browser asks; the instance may have gone
	})
}

func (m *Machine) cli(id string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /cli", func(w http.ResponseWriter, q *http.Request) {
		var in guest.CLIRequest
		if err := json.NewDecoder(http.MaxBytesReader(w, q.Body, 1<<20)).Decode(&in); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		out := guest.CLIReply{Stderr: "ServiceError: the lab's cloud is not open yet\n", Exit: 1}
		if h := m.getHandler(); h != nil {
			stdout, stderr, exit := h.CLI(q.Context(), id, in.Args)
			out = guest.CLIReply{Stdout: string(stdout), Stderr: string(stderr), Exit: exit}
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(out) // the instance may have gone
	})
	return mux
}

// listenUnix opens a socket by way of its directory's descriptor: a socket's path
// has room for 108 bytes only.
func listenUnix(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path))})
	if err != nil {
		return nil, err
	}
	// By the time of Close the descriptor may be another's.
	l.SetUnlinkOnClose(false)
	return l, os.Chmod(path, 0o600)
}
