package guest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// service is a unit and its running state.
type service struct {
	unit *Unit

	job sync.Mutex // one start, stop or reload at a time

	mu       sync.Mutex
	state    string // inactive, activating, active, deactivating, failed, reloading
	result   string // how it ended last
	pid      int
	since    time.Time
	starts   []time.Time   // recent ones, for the start limit
	done     chan struct{} // closed when the main process has ended
	stopping bool
	restart  *time.Timer
}

func (s *service) set(state, result string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state, s.since = state, time.Now()
	if result != "" {
		s.result = result
	}
}

func (s *service) get() (state, result string, pid int, since time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state, s.result, s.pid, s.since
}

// manager holds the services of the instance.
type manager struct {
	root   string
	reaper *reaper
	env    []string
	log    func(format string, args ...any)
	// console is nil in tests.
	console io.Writer

	mu       sync.Mutex
	services map[string]*service
	halting  bool
}

func newManager(root string, r *reaper, env []string, log func(string, ...any)) *manager {
	return &manager{root: root, reaper: r, env: env, log: log, services: map[string]*service{}}
}

func unitName(n string) string {
	if strings.Contains(n, ".") {
		return n
	}
	return n + ".service"
}

// find returns the service, loading its unit at first use; as with systemd, what
// is loaded stays until daemon-reload.
func (m *manager) find(name string) (*service, error) {
	name = unitName(name)
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.services[name]; s != nil {
		return s, nil
	}
	u, err := loadUnit(m.root, name)
	if err != nil {
		return nil, err
	}
	if len(u.Ignored) > 0 {
		m.log("%s: no effect in the lab: %s", name, strings.Join(u.Ignored, ", "))
	}
	s := &service{unit: u, state: "inactive", since: time.Now()}
	m.services[name] = s
	return s, nil
}

// reload reads all loaded units again (daemon-reload).
func (m *manager) reload() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var faults []error
	for name, s := range m.services {
		u, err := loadUnit(m.root, name)
		if errors.Is(err, errNoUnit) {
			continue
		}
		if err != nil {
			faults = append(faults, err)
			continue
		}
		s.mu.Lock()
		s.unit = u
		s.mu.Unlock()
	}
	return errors.Join(faults...)
}

func (s *service) current() *Unit {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unit
}

func (m *manager) output(u *Unit) (*os.File, error) {
	dir := filepath.Join(LogDir, "units")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(filepath.Join(dir, strings.TrimSuffix(u.Name, ".service")+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil || !u.Console || m.console == nil {
		return file, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		file.Close()
		return nil, err
	}
	go func() {
		defer file.Close()
		defer r.Close()
		// It ends with the last process that has the other end.
		if _, err := io.Copy(io.MultiWriter(file, m.console), r); err != nil {
			m.log("%s: copying its output: %v", u.Name, err)
		}
	}()
	return w, nil
}

// start brings the service up and returns when systemd would: for notify after
// READY=1, for oneshot after the end, else when the process runs.
func (m *manager) start(s *service) error {
	s.job.Lock()
	defer s.job.Unlock()
	return m.startLocked(s)
}

func (m *manager) startLocked(s *service) error {
	if state, _, _, _ := s.get(); state == "active" {
		return nil
	}
	m.mu.Lock()
	halting := m.halting
	m.mu.Unlock()
	if halting {
		return errors.New("the instance is shutting down")
	}
	u := s.current()
	if err := s.limit(u); err != nil {
		s.set("failed", "start-limit-hit")
		return err
	}
	s.mu.Lock()
	s.stopping = false
	if s.restart != nil {
		s.restart.Stop()
		s.restart = nil
	}
	s.mu.Unlock()
	s.set("activating", "")
	if err := m.launch(s, u); err != nil {
		m.log("%s: %v", u.Name, err)
		// launch has set failed, or has left it to the watcher of a process
		// that ended, which may restart it.
		return err
	}
	m.log("%s: %s", u.Name, "started")
	return nil
}

// limit refuses a start that comes too often, as StartLimitBurst says.
func (s *service) limit(u *Unit) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	kept := s.starts[:0]
	for _, t := range s.starts {
		if now.Sub(t) < u.LimitWindow {
			kept = append(kept, t)
		}
	}
	s.starts = append(kept, now)
	if u.LimitBurst > 0 && u.LimitWindow > 0 && len(s.starts) > u.LimitBurst {
		return fmt.Errorf("%s: started %d times within %s; last: %s", u.Name, len(s.starts)-1, u.LimitWindow, s.result)
	}
	return nil
}

func (m *manager) launch(s *service, u *Unit) error {
	fail := func(err error) error {
		s.set("failed", err.Error())
		return err
	}
	env, err := u.environ(m.root, m.env)
	if err != nil {
		return fail(err)
	}
	out, err := m.output(u)
	if err != nil {
		return fail(err)
	}
	defer out.Close()
	p := process{env: env, dir: u.WorkingDir, out: out, noFile: u.NoFile}
	for _, c := range u.StartPre {
		if err := m.once(p, c, u.StartWait); err != nil {
			return fail(fmt.Errorf("ExecStartPre: %w", err))
		}
	}
	if u.Type == "oneshot" {
		for _, c := range u.Start {
			if err := m.once(p, c, u.StartWait); err != nil {
				return fail(fmt.Errorf("ExecStart: %w", err))
			}
		}
		if u.Remains {
			s.set("active", "success")
		} else {
			s.set("inactive", "success")
		}
		return nil
	}
	var ready <-chan struct{}
	unlisten := func() {}
	if u.Type == "notify" {
		p.env, ready, unlisten, err = listenNotify(u.Name, p.env)
		if err != nil {
			return fail(err)
		}
	}
	p.argv = expand(u.Start[0].Argv, p.env)
	pid, ended, err := m.reaper.start(p)
	if err != nil {
		unlisten()
		return fail(err)
	}
	done := make(chan struct{})
	go func() {
		// Kept open for the life of the process: services send more than READY.
		<-done
		unlisten()
	}()
	s.mu.Lock()
	s.pid, s.done = pid, done
	s.mu.Unlock()
	go m.watch(s, u, pid, ended, done)
	if ready != nil {
		select {
		case <-ready:
		case <-done:
			return fmt.Errorf("%s ended before it was ready: %s; see %s/units", u.Name, s.lastResult(), LogDir)
		case <-time.After(u.StartWait):
			m.kill(s, u)
			return fail(fmt.Errorf("%s was not ready within %s", u.Name, u.StartWait))
		}
	}
	for _, c := range u.StartPost {
		if err := m.once(p, c, u.StartWait); err != nil {
			m.kill(s, u)
			return fail(fmt.Errorf("ExecStartPost: %w", err))
		}
	}
	s.mu.Lock()
	if s.done == done && s.pid == pid && s.state == "activating" {
		s.state, s.since = "active", time.Now()
	}
	s.mu.Unlock()
	return nil
}

func (s *service) lastResult() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.result
}

// once runs a command of the unit to its end.
func (m *manager) once(p process, c Command, limit time.Duration) error {
	p.argv = expand(c.Argv, p.env)
	pid, ended, err := m.reaper.start(p)
	if err == nil {
		select {
		case ws := <-ended:
			if !ws.Exited() || ws.ExitStatus() != 0 {
				err = fmt.Errorf("%s: %s", strings.Join(p.argv, " "), describe(ws))
			}
		case <-time.After(limit):
			signalTo(-pid, syscall.SIGKILL)
			<-ended
			err = fmt.Errorf("%s: not done within %s", strings.Join(p.argv, " "), limit)
		}
	}
	if c.IgnoreFailed {
		return nil
	}
	return err
}

// watch notes the end of the main process and restarts the service if its unit
// says so.
func (m *manager) watch(s *service, u *Unit, pid int, ended <-chan syscall.WaitStatus, done chan struct{}) {
	ws := <-ended
	if u.KillMode != "process" {
		killSession(pid, syscall.SIGKILL)
	}
	s.mu.Lock()
	stopping := s.stopping
	s.pid = 0
	s.result = describe(ws)
	s.since = time.Now()
	switch {
	case clean(ws) && !stopping && u.Remains:
		s.state = "active"
	case clean(ws) || stopping:
		s.state = "inactive"
	default:
		s.state = "failed"
	}
	again := !stopping && s.state != "active" && (u.Restart == "always" || u.Restart == "on-failure" && !clean(ws))
	if again {
		s.state = "activating"
		s.restart = time.AfterFunc(u.RestartWait, func() {
			// An error is in the service's state and in the log already.
			_ = m.start(s)
		})
	}
	s.mu.Unlock()
	m.log("%s: ended: %s", u.Name, describe(ws))
	close(done)
}

// stop ends the service, with SIGKILL after its timeout.
func (m *manager) stop(s *service) error {
	s.job.Lock()
	defer s.job.Unlock()
	m.stopLocked(s)
	return nil
}

func (m *manager) stopLocked(s *service) {
	u := s.current()
	s.mu.Lock()
	s.stopping = true
	if s.restart != nil {
		s.restart.Stop()
		s.restart = nil
	}
	pid, was := s.pid, s.state
	if pid == 0 && was != "active" {
		if was != "failed" {
			s.state = "inactive"
		}
		s.mu.Unlock()
		return
	}
	s.state = "deactivating"
	s.mu.Unlock()
	m.runStop(u, pid)
	if pid == 0 { // its process has ended, and it remained
		s.set("inactive", "success")
	}
	m.kill(s, u)
	m.log("%s: stopped", u.Name)
}

// runStop runs the unit's ExecStop; what is left of the service is killed behind it.
func (m *manager) runStop(u *Unit, pid int) {
	if len(u.Stop) == 0 {
		return
	}
	env, err := u.environ(m.root, m.env)
	if err != nil {
		m.log("%s: ExecStop: %v", u.Name, err)
		return
	}
	out, err := m.output(u)
	if err != nil {
		m.log("%s: ExecStop: %v", u.Name, err)
		return
	}
	defer out.Close()
	p := process{env: append(env, "MAINPID="+strconv.Itoa(pid)), dir: u.WorkingDir, out: out}
	for _, c := range u.Stop {
		if err := m.once(p, c, u.StopTimeout); err != nil {
			m.log("%s: ExecStop: %v", u.Name, err)
			return
		}
	}
}

func (m *manager) kill(s *service, u *Unit) {
	s.mu.Lock()
	pid, done := s.pid, s.done
	s.stopping = true
	s.mu.Unlock()
	if pid == 0 {
		return
	}
	sig := signals[u.KillSignal]
	if u.KillMode == "control-group" {
		killSession(pid, sig)
	} else {
		signalTo(pid, sig)
	}
	select {
	case <-done:
		return
	case <-time.After(u.StopTimeout):
	}
	if u.KillMode == "process" {
		signalTo(pid, syscall.SIGKILL)
	} else {
		killSession(pid, syscall.SIGKILL)
	}
	<-done
}

func (m *manager) reloadService(s *service) error {
	s.job.Lock()
	defer s.job.Unlock()
	u := s.current()
	state, _, pid, _ := s.get()
	if state != "active" {
		return fmt.Errorf("%s is not active, cannot reload", u.Name)
	}
	if len(u.Reload) == 0 {
		return fmt.Errorf("job type reload is not applicable for unit %s: it has no ExecReload", u.Name)
	}
	env, err := u.environ(m.root, m.env)
	if err != nil {
		return err
	}
	out, err := m.output(u)
	if err != nil {
		return err
	}
	defer out.Close()
	p := process{env: append(env, "MAINPID="+strconv.Itoa(pid)), dir: u.WorkingDir, out: out}
	for _, c := range u.Reload {
		// $MAINPID is a word of its own in every unit file; here it is a number.
		if err := m.once(p, c, u.StartWait); err != nil {
			return fmt.Errorf("ExecReload: %w", err)
		}
	}
	return nil
}

func (m *manager) restartService(s *service) error {
	s.job.Lock()
	defer s.job.Unlock()
	m.stopLocked(s)
	return m.startLocked(s)
}

// halt stops all services, as far as they do it within grace.
func (m *manager) halt(ctx context.Context) {
	m.mu.Lock()
	m.halting = true
	all := slices.Collect(maps.Values(m.services))
	m.mu.Unlock()
	inOrder(ctx, all, func(s *service) { _ = m.stop(s) })
}

// inOrder stops services side by side, but each behind those that come after it, as
// systemd does, and returns when all have stopped or ctx ends.
func inOrder(ctx context.Context, all []*service, stop func(*service)) {
	stopped := make(map[*service]chan struct{}, len(all))
	for _, s := range all {
		stopped[s] = make(chan struct{})
	}
	for _, s := range all {
		go func() {
			defer close(stopped[s])
			for _, other := range all {
				if !comesAfter(other.current(), s.current()) {
					continue
				}
				select {
				case <-stopped[other]:
				case <-ctx.Done():
					return
				}
			}
			stop(s)
		}()
	}
	for _, s := range all {
		select {
		case <-stopped[s]:
		case <-ctx.Done():
			return
		}
	}
}

// comesAfter says that a starts after b, and so stops before it.
func comesAfter(a, b *Unit) bool {
	return slices.Contains(a.After, b.Name) || slices.Contains(b.Before, a.Name)
}

// signalTo ignores the one fault there is: the process has just ended.
func signalTo(pid int, sig syscall.Signal) { _ = syscall.Kill(pid, sig) }

// killSession signals every process of the session that pid leads: what systemd
// finds by cgroup. A process that makes a session of its own escapes; PID 1's
// death ends those.
func killSession(pid int, sig syscall.Signal) {
	dirs, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return
	}
	for _, d := range dirs {
		raw, err := os.ReadFile(d)
		if err != nil {
			continue
		}
		i := strings.LastIndexByte(string(raw), ')')
		f := strings.Fields(string(raw[i+1:]))
		if len(f) < 4 || f[3] != strconv.Itoa(pid) {
			continue
		}
		if p, err := strconv.Atoi(filepath.Base(filepath.Dir(d))); err == nil {
			signalTo(p, sig)
		}
	}
}

// listenNotify opens the socket of sd_notify for one start of a service.
func listenNotify(name string, env []string) (withSocket []string, ready <-chan struct{}, stop func(), err error) {
	dir := "/run/lab-notify"
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, nil, nil, err
	}
	path := filepath.Join(dir, name)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, nil, nil, err
	}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return nil, nil, nil, fmt.Errorf("opening the notify socket: %w", err)
	}
	ch := make(chan struct{})
	go func() {
		buf := make([]byte, 4096)
		told := false
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			for _, l := range strings.Split(string(buf[:n]), "\n") {
				if l == "READY=1" && !told {
					told = true
					close(ch)
				}
			}
		}
	}()
	return append(env, "NOTIFY_SOCKET="+path), ch, func() { conn.Close() }, nil
}
