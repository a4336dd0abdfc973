package rpc

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/stats"

	"github.com/emqx-oci/emqx-oci/lab/peer"
)

// maxMessage is Pulumi's own limit for its gRPC messages.
const maxMessage = 400 << 20

// session is what is known of one connection, which is one provider instance of
// one engine run.
type session struct {
	ctx    context.Context // ends with Cancel
	cancel context.CancelFunc
	mu     sync.Mutex
	client Client
}

type sessionKey struct{}

// sessions tags every connection with its session.
type sessions struct{}

func (sessions) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context {
	s := &session{}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return context.WithValue(ctx, sessionKey{}, s)
}

func (sessions) HandleConn(ctx context.Context, st stats.ConnStats) {
	if _, end := st.(*stats.ConnEnd); end {
		sessionOf(ctx).cancel()
	}
}

func (sessions) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

func (sessions) HandleRPC(context.Context, stats.RPCStats) {}

func sessionOf(ctx context.Context) *session {
	if s, ok := ctx.Value(sessionKey{}).(*session); ok {
		return s
	}
	// Called without a connection (a unit test): a session of its own.
	return &session{ctx: context.Background(), cancel: func() {}}
}

// Server is a listening plugin.
type Server struct {
	grpc     *grpc.Server
	listener net.Listener
	done     chan struct{}
	err      error
}

// Serve listens on address (host:port, port 0 for any) and serves p until Close, to
// callers of this process's user alone. Log, which may be nil, gets a line about others.
func Serve(ctx context.Context, address string, p Plugin, log func(format string, args ...any)) (*Server, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listening for the %s provider on %s: %w", p.Name, address, err)
	}
	s := &Server{
		grpc:     grpc.NewServer(grpc.StatsHandler(sessions{}), grpc.MaxRecvMsgSize(maxMessage), grpc.MaxSendMsgSize(maxMessage)),
		listener: l,
		done:     make(chan struct{}),
	}
	pulumirpc.RegisterResourceProviderServer(s.grpc, New(p))
	go func() {
		defer close(s.done)
		s.err = s.grpc.Serve(peer.Own(l, "", log))
	}()
	return s, nil
}

// Port is the port it listens on.
func (s *Server) Port() int { return s.listener.Addr().(*net.TCPAddr).Port }

// Close ends it: calls in flight have a moment to finish, then they are cut.
func (s *Server) Close() error {
	force := time.AfterFunc(2*time.Second, s.grpc.Stop)
	defer force.Stop()
	s.grpc.GracefulStop()
	<-s.done
	return s.err
}

// work is the context of one piece of work: it ends when the caller goes away,
// when the engine cancels, and after timeout seconds if there is one.
func (s *session) work(ctx context.Context, timeout float64) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.ctx, cancel)
	end := func() { stop(); cancel() }
	if timeout <= 0 {
		return ctx, end
	}
	ctx, cancelTimeout := context.WithTimeout(ctx, time.Duration(timeout*float64(time.Second)))
	return ctx, func() { cancelTimeout(); end() }
}
