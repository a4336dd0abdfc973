package rest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/emqx-oci/emqx-oci/lab/cloud"
	"github.com/emqx-oci/emqx-oci/lab/peer"
)

// maxBody is the largest request that is read, in bytes; user data is the largest part.
const maxBody = 1 << 20

// Handler serves c to clients that sign their requests with key.
func Handler(c *cloud.Cloud, key Key) http.Handler {
	s := &service{cloud: c, key: key, works: newWorks(), mux: http.NewServeMux()}
	s.routes()
	return s
}

// Server is a listening one.
type Server struct {
	url    string
	server *http.Server
}

// Serve listens on address, a loopback one, until Close. As every socket of the lab it
// lets in this process's own user and root; log, which may be nil, gets a line about others.
func Serve(ctx context.Context, address string, h http.Handler, log func(format string, args ...any)) (*Server, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp4", address)
	if err != nil {
		return nil, fmt.Errorf("serving OCI's API: %w", err)
	}
	s := &Server{url: "http://" + l.Addr().String(), server: &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}}
	go func() { _ = s.server.Serve(peer.Own(l, peer.Unauthorized, log)) }()
	return s, nil
}

// URL is where the API is, http://127.0.0.1:PORT.
func (s *Server) URL() string { return s.url }

// Close ends it, and the requests under way.
func (s *Server) Close() error { return s.server.Close() }

// clients of the official provider that are used here, by its own names.
var clients = []string{
	"oci_core.BlockstorageClient", "oci_core.ComputeManagementClient", "oci_core.VirtualNetworkClient", "oci_dns.DnsClient",
	"oci_identity.IdentityClient", "oci_network_load_balancer.NetworkLoadBalancerClient", "oci_secrets.SecretsClient",
}

// HostOverrides is the value of CLIENT_HOST_OVERRIDES that points the official provider
// at url.
func HostOverrides(url string) string {
	pairs := make([]string, len(clients))
	for n, client := range clients {
		pairs[n] = client + "=" + url
	}
	return strings.Join(pairs, ";")
}

// service answers the API's requests.
type service struct {
	cloud *cloud.Cloud
	key   Key
	works *works
	mux   *http.ServeMux
}

// call is one request: it came, its signature is right.
type call struct {
	*http.Request
	content []byte
}

// answer is what becomes of it when it is not refused.
type answer struct {
	status int // 0: 200
	header map[string]string
	body   any // nil: none
}

type handler func(ctx context.Context, c call) (answer, error)

func (s *service) handle(pattern string, h handler) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		content, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err == nil {
			err = s.key.check(r, content, time.Now())
		}
		ctx := cloud.WithRetryToken(r.Context(), r.Header.Get("opc-retry-token"))
		ctx = cloud.WithIfMatch(ctx, r.Header.Get("if-match"))
		var a answer
		if err == nil {
			a, err = h(ctx, call{r, content})
		}
		reply(w, r, a, err)
	})
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, pattern := s.mux.Handler(r); pattern == "" {
		reply(w, r, answer{}, &cloud.Error{Status: http.StatusNotFound, Code: "NotFound", Message: "the lab has no " + r.Method + " " + r.URL.Path})
		return
	}
	s.mux.ServeHTTP(w, r)
}

// reply writes an answer or, as OCI does, an error's code and message.
func reply(w http.ResponseWriter, r *http.Request, a answer, err error) {
	var refused *cloud.Error
	var late *cloud.TimeoutError
	switch {
	case errors.As(err, &late), err != nil && r.Context().Err() != nil:
		panic(http.ErrAbortHandler) // no answer at all
	case errors.As(err, &refused):
		a = answer{status: refused.Status, body: map[string]string{"code": refused.Code, "message": refused.Message}}
	case err != nil:
		a = answer{status: http.StatusInternalServerError, body: map[string]string{"code": "InternalServerError", "message": err.Error()}}
	}
	w.Header().Set("opc-request-id", requestID(r.Header.Get("opc-request-id")))
	for name, value := range a.header {
		if value != "" {
			w.Header().Set(name, value)
		}
	}
	if a.status == 0 {
		a.status = http.StatusOK
	}
	if a.body == nil {
		w.WriteHeader(a.status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(a.status)
	_ = json.NewEncoder(w).Encode(a.body)
}

// requestID is the client's own, or another, with the two parts that OCI appends.
func requestID(given string) string {
	id := make([]byte, 48)
	_, _ = rand.Read(id) // never fails
	text := strings.ToUpper(hex.EncodeToString(id))
	if given == "" {
		given = text[:32]
	}
	return given + "/" + text[32:64] + "/" + text[64:]
}
