package peer

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// Unauthorized is an answer for callers that speak HTTP; it tells them why.
const Unauthorized = "HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n" +
	"the lab is for root alone: whoever may change it is root on this machine\n"

const (
	// goodbye is how long a refused caller may take to hear its answer.
	goodbye = time.Second
	// quiet is how long the log says nothing more of strangers: it is on a disk that
	// they must not fill.
	quiet = 10 * time.Second
)

// listener lets in who may come in.
type listener struct {
	net.Listener
	answer string
	log    func(format string, args ...any)

	mu   sync.Mutex
	said time.Time
}

// Own wraps a listener of TCP on loopback. Its Accept returns connections of
// processes that run as this one's user, or as root; the others are told answer,
// which may be empty, and are closed before a byte of theirs is read by anybody.
// The log, which may be nil, gets a line about them now and then.
func Own(l net.Listener, answer string, log func(format string, args ...any)) net.Listener {
	if log == nil {
		log = func(string, ...any) {}
	}
	return &listener{Listener: l, answer: answer, log: log}
}

func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		err = check(c)
		if err == nil {
			return c, nil
		}
		l.tell(err)
		go l.refuse(c)
	}
}

func (l *listener) tell(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Since(l.said) < quiet {
		return
	}
	l.said = time.Now()
	l.log("refusing a connection to %s: %v", l.Addr(), err)
}

// refuse reads what the caller says and forgets it: a connection that is closed
// over unread bytes is reset, and takes the answer with it.
func (l *listener) refuse(c net.Conn) {
	defer c.Close()
	if l.answer == "" {
		return
	}
	_ = c.SetDeadline(time.Now().Add(goodbye))
	if _, err := io.WriteString(c, l.answer); err != nil {
		return
	}
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(c, 1<<16))
}

func check(c net.Conn) error {
	uid, err := uidOf(c)
	if err != nil {
		return fmt.Errorf("whose it is cannot be told: %w", err)
	}
	if own := os.Geteuid(); uid != 0 && int(uid) != own {
		return fmt.Errorf("it is of user %d, and only user %d may come in", uid, own)
	}
	return nil
}

// Able tells whether this kernel says who is calling.
func Able() error {
	l, err := net.Listen("tcp4", "127.0.0.1:0") //nolint:noctx // it waits for nothing
	if err != nil {
		return fmt.Errorf("asking the kernel for a caller: %w", err)
	}
	defer l.Close()
	out, err := net.DialTimeout("tcp4", l.Addr().String(), 5*time.Second) //nolint:noctx // bounded by itself
	if err != nil {
		return fmt.Errorf("asking the kernel for a caller: %w", err)
	}
	defer out.Close()
	in, err := l.Accept()
	if err != nil {
		return fmt.Errorf("asking the kernel for a caller: %w", err)
	}
	defer in.Close()
	uid, err := uidOf(in)
	if err == nil && int(uid) != os.Geteuid() {
		err = errors.New("it names another user")
	}
	if err != nil {
		return fmt.Errorf("asking the kernel for a caller: %w", err)
	}
	return nil
}
