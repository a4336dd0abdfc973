package guest

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
)

var signals = map[string]syscall.Signal{
	"SIGTERM": syscall.SIGTERM, "SIGINT": syscall.SIGINT, "SIGQUIT": syscall.SIGQUIT, "SIGHUP": syscall.SIGHUP,
	"SIGKILL": syscall.SIGKILL, "SIGUSR1": syscall.SIGUSR1, "SIGUSR2": syscall.SIGUSR2,
}

// reaper starts processes and collects every child, its own and adopted orphans.
// PID 1 must not use os/exec's Wait: the two would take each other's statuses.
type reaper struct {
	mu      sync.Mutex
	waiting map[int]chan syscall.WaitStatus
}

func newReaper() *reaper { return &reaper{waiting: map[int]chan syscall.WaitStatus{}} }

// process is what to start; every one leads a session of its own.
type process struct {
	argv, env []string
	dir       string
	out       *os.File
	noFile    uint64
}

// start runs p; the channel yields its status once.
func (r *reaper) start(p process) (int, <-chan syscall.WaitStatus, error) {
	argv := p.argv
	if p.noFile > 0 {
		argv = append([]string{Binary, "limit", fmt.Sprint(p.noFile), "--"}, argv...)
	}
	path := argv[0]
	if !strings.Contains(path, "/") {
		found, err := exec.LookPath(path)
		if err != nil {
			return 0, nil, err
		}
		path = found
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, nil, err
	}
	defer null.Close()
	// Held over the fork, so that the status cannot be collected before its
	// channel exists.
	r.mu.Lock()
	defer r.mu.Unlock()
	pid, err := syscall.ForkExec(path, argv, &syscall.ProcAttr{
		Dir: p.dir, Env: p.env,
		Files: []uintptr{null.Fd(), p.out.Fd(), p.out.Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return 0, nil, fmt.Errorf("starting %s: %w", path, err)
	}
	ch := make(chan syscall.WaitStatus, 1)
	r.waiting[pid] = ch
	return pid, ch, nil
}

// run collects children for ever; sigchld wakes it.
func (r *reaper) run(sigchld <-chan os.Signal) {
	for range sigchld {
		for {
			r.mu.Lock()
			var ws syscall.WaitStatus
			pid, err := syscall.Wait4(-1, &ws, syscall.WNOHANG, nil)
			if err == syscall.EINTR {
				r.mu.Unlock()
				continue
			}
			if err != nil || pid <= 0 {
				r.mu.Unlock()
				break
			}
			if ch := r.waiting[pid]; ch != nil && (ws.Exited() || ws.Signaled()) {
				ch <- ws
				delete(r.waiting, pid)
			}
			r.mu.Unlock()
		}
	}
}

// describe says how a process ended, in a shell's words.
func describe(ws syscall.WaitStatus) string {
	if ws.Signaled() {
		return fmt.Sprintf("killed by %v", ws.Signal())
	}
	return fmt.Sprintf("exit code %d", ws.ExitStatus())
}

// clean reports whether systemd would count this end as a success.
func clean(ws syscall.WaitStatus) bool {
	if ws.Signaled() {
		switch ws.Signal() {
		case syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM, syscall.SIGPIPE:
			return true
		default:
			return false
		}
	}
	return ws.ExitStatus() == 0
}
