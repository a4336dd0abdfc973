package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

const (
	// A machine without a way out must not wait for it: resolving and connecting.
	dialTimeout = 2 * time.Second
	// From the question to the answer's header, redirections included.
	answerTimeout = 6 * time.Second
	// A download without a byte for so long is given up.
	stallTimeout = 20 * time.Second
	// More than any of the archives has.
	largest = 1 << 30
)

// fetcher gets files of releases.
type fetcher struct {
	// base replaces every vendor's own folder; empty for none.
	base          string
	client        *http.Client
	answer, stall time.Duration
}

func newClient() *http.Client {
	return &http.Client{Transport: &http.Transport{
		Proxy:       http.ProxyFromEnvironment,
		DialContext: (&net.Dialer{Timeout: dialTimeout}).DialContext,
	}}
}

// copyTo writes a file of a release to w.
func (f fetcher) copyTo(ctx context.Context, w io.Writer, r release, file string) error {
	base := f.base
	if base == "" {
		base = vendors[r.program].base(r.version)
	}
	url := strings.TrimSuffix(base, "/") + "/" + file
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(f.answer, func() { cancel(fmt.Errorf("getting %s: no answer in %v", url, f.answer)) })
	defer watch.Stop()
	err := f.copyBody(ctx, w, url, func() { watch.Reset(f.stall) })
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return cause
	}
	return err
}

// copyBody writes what url answers to w, and calls moved at its header and at every piece.
func (f fetcher) copyBody(ctx context.Context, w io.Writer, url string, moved func()) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("getting %s: %w", url, err)
	}
	response, err := f.client.Do(request)
	if err != nil {
		return fmt.Errorf("getting a release: %w", err) // names the URL
	}
	defer response.Body.Close()
	moved()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("getting %s: must answer 200, got %s", url, response.Status)
	}
	n, err := io.Copy(movedWriter{w, moved}, io.LimitReader(response.Body, largest+1))
	if err == nil && n > largest {
		err = errors.New("more than 1 GiB")
	}
	if err != nil {
		return fmt.Errorf("getting %s: %w", url, err)
	}
	return nil
}

type movedWriter struct {
	io.Writer
	moved func()
}

func (w movedWriter) Write(b []byte) (int, error) {
	w.moved()
	return w.Writer.Write(b)
}
