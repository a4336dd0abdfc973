package load

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"

	"github.com/gorilla/websocket"
)

// brokenError is why an attempt failed or a connection ended. Kinds are few: they are counted.
type brokenError struct {
	kind   string
	cause  error
	silent bool // nothing told of the end: the connection was dead for an unknown time
}

func (e *brokenError) Error() string {
	if e.cause == nil {
		return e.kind
	}
	return e.kind + ": " + e.cause.Error()
}

func (e *brokenError) Unwrap() error { return e.cause }

// failure names the step and sorts the cause.
func failure(step string, err error) error {
	var known *brokenError
	if errors.As(err, &known) {
		return err
	}
	var dns *net.DNSError
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	var network net.Error
	what := "other"
	switch {
	case errors.As(err, &dns):
		what = "name not resolved"
	case errors.As(err, &authority), errors.As(err, &name):
		what = "certificate not accepted"
	case errors.Is(err, syscall.ECONNREFUSED):
		what = "refused"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		what = "unreachable"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		what = "source address not available"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT),
		errors.As(err, &network) && network.Timeout(): // WebSocket's own
		what = "timeout"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNABORTED):
		what = "reset"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed), websocket.IsUnexpectedCloseError(err):
		what = "closed"
	case errors.Is(err, websocket.ErrBadHandshake):
		what = "refused"
	}
	return &brokenError{kind: step + ": " + what, cause: err, silent: step == "lost" && what == "timeout"}
}

// reason names the MQTT reason codes that a drill meets; the others are in section 2.4 of MQTT 5.
func reason(code byte) string {
	names := map[byte]string{
		0x00: "normal", 0x10: "no matching subscribers", 0x80: "unspecified error", 0x85: "client identifier not valid",
		0x86: "bad user name or password", 0x87: "not authorized", 0x88: "server unavailable", 0x89: "server busy",
		0x8b: "server shutting down", 0x8d: "keep alive timeout", 0x8e: "session taken over", 0x93: "receive maximum exceeded",
		0x95: "packet too large", 0x97: "quota exceeded", 0x98: "administrative action", 0x9c: "use another server",
		0x9f: "connection rate exceeded",
	}
	if name, ok := names[code]; ok {
		return fmt.Sprintf("0x%02x %s", code, name)
	}
	return fmt.Sprintf("0x%02x", code)
}
