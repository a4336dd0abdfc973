package orchestrate

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// keptLogs is how many operations' engine texts a stage keeps.
const keptLogs = 10

// stage is the private folder that the engine works in instead of the project's: the project's stack files are the
// user's, and the Automation API would rewrite them. One per stack.
type stage struct{ dir string }

func openStage(root, projectDir, stack string) (*stage, error) {
	if root == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return nil, fmt.Errorf("finding a folder to work in: %w; name one with --stage-dir", err)
		}
		sum := sha256.Sum256([]byte(projectDir))
		root = filepath.Join(cache, "emqx-oci", hex.EncodeToString(sum[:6]))
	}
	dir, err := filepath.Abs(filepath.Join(root, stack))
	if err != nil {
		return nil, fmt.Errorf("finding the folder %q: %w", root, err)
	}
	for _, d := range []string{dir, filepath.Join(dir, "runs"), filepath.Join(dir, "logs")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, fmt.Errorf("making the folder %q to work in: %w", d, err)
		}
	}
	// MkdirAll leaves an existing folder's mode alone, and this one is to hold secrets.
	if err := os.Chmod(dir, 0o700); err != nil { //nolint:gosec // a folder needs x
		return nil, fmt.Errorf("making the folder %q private: %w", dir, err)
	}
	return &stage{dir: dir}, nil
}

// id tells this stage's processes from all others.
func (s *stage) id() string {
	sum := sha256.Sum256([]byte(s.dir))
	return hex.EncodeToString(sum[:8])
}

// write replaces a file of the stage as a whole, readable by its owner only.
func (s *stage) write(name string, b []byte) error {
	tmp, err := os.CreateTemp(s.dir, ".tmp-*") // 0600
	if err != nil {
		return fmt.Errorf("writing %s into %s: %w", name, s.dir, err)
	}
	_, err = tmp.Write(b)
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), filepath.Join(s.dir, name))
	}
	if err != nil {
		_ = os.Remove(tmp.Name())
		return fmt.Errorf("writing %s into %s: %w", name, s.dir, err)
	}
	return nil
}

// logs makes the two files that one operation of the engine prints to, and lets the oldest ones go.
func (s *stage) logs() (out, errs output, err error) {
	dir := filepath.Join(s.dir, "logs")
	if old, err := filepath.Glob(filepath.Join(dir, "*")); err == nil && len(old) > 2*(keptLogs-1) {
		slices.Sort(old) // the names begin with the time
		for _, f := range old[:len(old)-2*(keptLogs-1)] {
			_ = os.Remove(f)
		}
	}
	base := filepath.Join(dir, time.Now().UTC().Format("20060102T150405.000"))
	open := func(suffix string) (output, error) {
		f, err := os.OpenFile(base+suffix, os.O_CREATE|os.O_TRUNC|os.O_RDWR|os.O_APPEND, 0o600)
		if err != nil {
			return nil, fmt.Errorf("making a file for the engine's text: %w", err)
		}
		return file{f}, nil
	}
	if out, err = open(".out"); err != nil {
		return nil, nil, err
	}
	if errs, err = open(".err"); err != nil {
		_ = out.Close()
		return nil, nil, err
	}
	return out, errs, nil
}

// requireRefresh notes that the state may not be what the clouds hold, after an operation that did not come to its own end, or with
// resources in it which nobody has read yet: the next operation has to refresh first, even when this one does not get
// that far.
func (s *stage) requireRefresh(refresh bool) { s.mark("refresh-first", refresh) }

func (s *stage) refreshRequired() bool { return s.marked("refresh-first") }

// noteDestroy notes that a destroy has begun, and that it, or an update since, has come to its end.
func (s *stage) noteDestroy(begun bool) { s.mark("destroy-begun", begun) }

func (s *stage) destroyBegun() bool { return s.marked("destroy-begun") }

// mark keeps a fact for later runs in an empty file, and marked reads it.
func (s *stage) mark(name string, set bool) {
	path := filepath.Join(s.dir, name)
	if set {
		_ = os.WriteFile(path, nil, 0o600)
	} else {
		_ = os.Remove(path)
	}
}

func (s *stage) marked(name string) bool {
	_, err := os.Stat(filepath.Join(s.dir, name))
	return err == nil
}

// run is a process of the engine that this program started, and the life it was started in.
type run struct {
	PID     int    `json:"pid"`
	Started string `json:"started"`
	// Owner is the emqx-oci that started it.
	Owner        int    `json:"owner"`
	OwnerStarted string `json:"ownerStarted"`

	User  string    `json:"user"`
	Since time.Time `json:"since"`
}

// alive says whether the process still runs, as opposed to another one that was given its pid.
func (r run) alive() bool {
	now, ok := startedAt(r.PID)
	return ok && now == r.Started
}

// orphaned says whether the emqx-oci that started it is gone.
func (r run) orphaned() bool {
	now, ok := startedAt(r.Owner)
	return !ok || now != r.OwnerStarted
}

// record notes a process, so that a later run can know it for its own; forget takes the note back.
func (s *stage) record(pid int) (forget func(), err error) {
	r := run{PID: pid, Owner: os.Getpid(), Since: time.Now()}
	if u, err := user.Current(); err == nil {
		r.User = u.Username
	}
	r.Started, _ = startedAt(pid)
	r.OwnerStarted, _ = startedAt(r.Owner)
	b, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("noting process %d: %w", pid, err)
	}
	name := filepath.Join("runs", strconv.Itoa(pid)+".json")
	if err := s.write(name, b); err != nil {
		return nil, err
	}
	return func() { _ = os.Remove(filepath.Join(s.dir, name)) }, nil
}

// runs lists what was recorded and not taken back: what runs now, and what was killed.
func (s *stage) runs() map[int]run {
	files, _ := filepath.Glob(filepath.Join(s.dir, "runs", "*.json"))
	found := map[int]run{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // its run just ended
		}
		var r run
		if json.Unmarshal(b, &r) == nil && r.PID > 0 {
			found[r.PID] = r
		}
	}
	return found
}

// sweep ends what killed engines left behind: plugins. Everything below a recorded run that lives, and below an
// emqx-oci that is just about to record its run, stays.
func (s *stage) sweep() {
	runs := s.runs()
	own := map[int]bool{}
	for _, p := range stageProcesses(s.id()) {
		own[p] = true
	}
	for p := range own {
		root := p
		for own[parent(root)] {
			root = parent(root)
		}
		if r, ok := runs[root]; ok && r.alive() || sameProgram(parent(root)) {
			continue
		}
		killPID(p)
	}
}

// prune drops the notes of runs that ended without taking them back. To be called once the stack's lock was ours:
// before, they tell whose lock it is.
func (s *stage) prune() {
	for pid, r := range s.runs() {
		if r.alive() {
			continue
		}
		for _, suffix := range []string{".json", ".asked"} {
			_ = os.Remove(filepath.Join(s.dir, "runs", strconv.Itoa(pid)+suffix))
		}
	}
}

// askOrphans tells the engines of killed runs to stop after what is under way: one that has no program to lose, such as
// a destroy, would go on to the end. Once, because a second request means "at once".
func (s *stage) askOrphans() {
	for pid, r := range s.runs() {
		if !r.alive() || !r.orphaned() {
			continue
		}
		f, err := os.OpenFile(filepath.Join(s.dir, "runs", strconv.Itoa(pid)+".asked"), os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			continue // asked already
		}
		_ = f.Close()
		interrupt(pid)
	}
}

// stacks lists the stacks that a project folder has files for.
func stacks(projectDir string) []string {
	files, _ := filepath.Glob(filepath.Join(projectDir, "Pulumi.*.yaml"))
	names := make([]string, 0, len(files))
	for _, f := range files {
		names = append(names, strings.TrimSuffix(strings.TrimPrefix(filepath.Base(f), "Pulumi."), ".yaml"))
	}
	slices.Sort(names)
	return names
}
