package drill

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/emqx-oci/emqx-oci/lab/load"
)

// The workload of every scenario. Keep-alives are short, so that a drill is: a client of 5 s notices a silent node after
// 5 to 8 s, one of 60 s after a minute.
var workloadFlags = []string{
	"--publishers=48", "--subscribers=24", "--rate=2.5", "--qos=1", "--keep-alive=5s", "--ping-timeout=3s",
	"--duration=1h", "--settle=15s", "--nodes-every=0",
}

// UnderLoad does something while clients keep count, waits until all are back, and returns their account.
func (b *Bed) UnderLoad(ctx context.Context, f func(context.Context) error) (load.Report, error) {
	w, err := startLoad(ctx, b, 0)
	if err != nil {
		return load.Report{}, err
	}
	err = f(ctx)
	if err == nil {
		err = w.calm(ctx, calmTime)
	}
	r, stopped := w.stop()
	return r, errors.Join(err, stopped)
}

// workload is `emqx-oci lab load` under way.
type workload struct {
	cmd    *exec.Cmd
	stdout bytes.Buffer
	ended  chan struct{}

	mu      sync.Mutex
	last    []string // lines of its error output
	events  int
	away    int       // clients that are reconnecting
	wholeAt time.Time // since when none is; zero while one is
}

// connected and reconnecting clients of a line of progress.
var eventLine = regexp.MustCompile(`(\d+) connected +(\d+) reconnecting`)

// startLoad returns when all clients are connected and publish.
func startLoad(ctx context.Context, b *Bed, connectTimeout time.Duration) (*workload, error) {
	flags := append([]string{"lab", "load", "--json"}, workloadFlags...)
	if connectTimeout > 0 {
		flags = append(flags, "--connect-timeout="+connectTimeout.String())
	}
	// Not bound to ctx: a scenario that is over its time still wants its report.
	w := &workload{cmd: b.command(context.WithoutCancel(ctx), flags...), ended: make(chan struct{})}
	w.cmd.Stdout = &w.stdout
	stderr, err := w.cmd.StderrPipe()
	if err != nil {
		return nil, fmt.Errorf("starting the clients: %w", err)
	}
	if err := w.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the clients: %w", err)
	}
	go func() {
		defer close(w.ended)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			w.note(lines.Text(), time.Now())
		}
		_ = w.cmd.Wait()
	}()
	for deadline := time.Now().Add(time.Minute); ; {
		if w.started() {
			return w, nil
		}
		select {
		case <-w.ended:
			return nil, fmt.Errorf("starting the clients: %s", w.words())
		default:
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil || time.Now().After(deadline) {
			w.kill()
			return nil, fmt.Errorf("starting the clients: not within a minute: %s", w.words())
		}
	}
}

func (w *workload) note(line string, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last = append(w.last, line)
	w.last = w.last[max(0, len(w.last)-5):]
	m := eventLine.FindStringSubmatch(line)
	if m == nil {
		return
	}
	w.events++
	w.away, _ = strconv.Atoi(m[2])
	switch {
	case w.away > 0:
		w.wholeAt = time.Time{}
	case w.wholeAt.IsZero():
		w.wholeAt = at
	}
}

func (w *workload) started() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.events > 0
}

func (w *workload) words() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.last, "; ")
}

// calm waits until all clients have been connected for a while, so that what was under way has come.
func (w *workload) calm(ctx context.Context, within time.Duration) error {
	const lull = 3 * time.Second
	for deadline := time.Now().Add(within); ; {
		w.mu.Lock()
		away, whole := w.away, w.wholeAt
		w.mu.Unlock()
		if !whole.IsZero() && time.Since(whole) > lull {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d clients are not back after %s", away, within)
		}
		if err := pause(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
}

// stop ends publishing, and returns the account.
func (w *workload) stop() (r load.Report, err error) {
	// Only the first process: it tells the clients, which wait for what is under way.
	if err := w.cmd.Process.Signal(syscall.SIGINT); err != nil {
		return r, fmt.Errorf("ending the clients: %w: %s", err, w.words())
	}
	select {
	case <-w.ended:
	case <-time.After(time.Minute):
		w.kill()
		return r, errors.New("ending the clients: no report within a minute")
	}
	// It exits with 1 when messages were lost: the report says so, too.
	if err := json.Unmarshal(w.stdout.Bytes(), &r); err != nil {
		return r, fmt.Errorf("reading the clients' report: %w: %s", err, w.words())
	}
	return r, nil
}

func (w *workload) kill() {
	_ = syscall.Kill(-w.cmd.Process.Pid, syscall.SIGKILL)
	<-w.ended
}
