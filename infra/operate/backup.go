package operate

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/emqx-oci/emqx-oci/infra/gates"
)

const (
	// chunk is how much of a file goes through one exec session, in bytes: a session
	// carries a few MB a second, and one that is lost is cheap to repeat.
	chunk = 1 << 20
	// exportTime bounds EMQX's work on an export or an import.
	exportTime = 10 * time.Minute
	// sweepTime bounds taking temporary files away, also after ctx has ended.
	sweepTime = 15 * time.Second
)

// File is where a backup goes, and can be read again: an *os.File is one.
type File interface {
	io.WriterAt
	io.ReaderAt
}

// RestoreFile is where a backup comes from: an *os.File is one.
type RestoreFile = io.ReadSeeker

// BackupOptions are the choices of a backup or a restore.
type BackupOptions struct {
	// Node to work on, by index; -1 takes the first whose EMQX answers.
	Node int
	// Report gets what EMQX says, and how far the copy has come.
	Report func(line string)
}

// exportScript exports, and leaves in a file of its own what came out: the answer to
// the command that ran it may be lost. EMQX's exit code tells nothing.
const exportScript = `set -u; umask 077; dir=$1; mkdir "$dir"; cd /opt/emqx 2>/dev/null || cd /
emqx ctl data export >"$dir/said" 2>&1
file=$(sed -n 's/^Data has been successfully exported to \(.*\)\.$/\1/p' "$dir/said" | tail -n 1)
if [ -f "$file" ]; then
  case $file in /*) ;; *) file=$PWD/$file ;; esac
  chmod 600 "$file"
  { echo "$file"; stat -c %s "$file"; sha256sum "$file" | cut -d ' ' -f 1; } >"$dir/file.new"
  mv "$dir/file.new" "$dir/file"
fi
touch "$dir/done"`

// sweepScript takes away what an export or an upload has left, and nothing else.
const sweepScript = `dir=$1; if [ -f "$dir/file" ]; then rm -f "$(sed -n 1p "$dir/file")"; fi; rm -rf "$dir"`

// Backup has EMQX export what the cluster keeps on its disks (dashboard users, API
// keys, bans, users of its own authentication, settings changed at run time, retained
// messages), and writes the file to out. No session and no queue is in it. The file
// holds password hashes and settings: it is as secret as the cluster. Nothing of it
// stays on the node.
func (c *Cluster) Backup(ctx context.Context, out File, o BackupOptions) (Backup, error) {
	b, err := c.backup(ctx, out, &o)
	if err != nil {
		return b, fmt.Errorf("backing up: %w", err)
	}
	return b, nil
}

func (c *Cluster) backup(ctx context.Context, out File, o *BackupOptions) (Backup, error) {
	if err := c.choose(ctx, o); err != nil {
		return Backup{}, err
	}
	dir := tempDir()
	defer c.sweep(ctx, o.Node, dir)
	o.Report("exporting on " + c.Nodes[o.Node].Name)
	said, err := c.work(ctx, o.Node, dir, exportScript)
	if err != nil {
		return Backup{}, err
	}
	r, err := c.Ask(ctx, o.Node, "cat", dir+"/file")
	if err != nil {
		return Backup{}, err
	}
	f := strings.Fields(r.Stdout)
	if r.Exit != 0 || len(f) != 3 {
		return Backup{}, fmt.Errorf("EMQX exported nothing: %s", gates.OneLine(lastLines(said, 3)))
	}
	size, err := strconv.ParseInt(f[1], 10, 64)
	if err != nil {
		return Backup{}, fmt.Errorf("reading the size of the export: %w", err)
	}
	if err := c.fetch(ctx, o, f[0], size, out); err != nil {
		return Backup{}, err
	}
	b, err := ReadBackup(io.NewSectionReader(out, 0, size))
	if err != nil {
		return b, err
	}
	if b.SHA256 != f[2] {
		return b, fmt.Errorf("copying %s: its SHA-256 is %s on the node and %s here", f[0], f[2], b.SHA256)
	}
	return b, nil
}

// fetch copies a file of the node in chunks, each of which may be asked for again.
func (c *Cluster) fetch(ctx context.Context, o *BackupOptions, file string, size int64, out io.WriterAt) error {
	const part = `dd if="$1" bs="$2" skip="$3" count=1 2>/dev/null | base64`
	for at := int64(0); at < size; at += chunk {
		r, err := c.Ask(ctx, o.Node, "/bin/sh", "-c", part, "part", file, strconv.Itoa(chunk), strconv.FormatInt(at/chunk, 10))
		if err != nil {
			return fmt.Errorf("copying %s: %w", file, err)
		}
		data, err := io.ReadAll(base64.NewDecoder(base64.StdEncoding, strings.NewReader(r.Stdout)))
		if want := min(chunk, size-at); err == nil && int64(len(data)) != want {
			err = fmt.Errorf("%d bytes came instead of %d", len(data), want)
		}
		if err == nil {
			_, err = out.WriteAt(data, at)
		}
		if err != nil {
			return fmt.Errorf("copying %s from byte %d: %w", file, at, err)
		}
		if size > chunk {
			o.Report(fmt.Sprintf("copied %d of %d MB", min(at+chunk, size)>>20, size>>20))
		}
	}
	return nil
}

// importScript imports, under the name that the export had.
const importScript = `set -u; dir=$1; cd "$dir" || exit 1
emqx ctl data import "$dir/$2" >"$dir/said" 2>&1
touch "$dir/done"`

// Restored is what a restore has done.
type Restored struct {
	Backup Backup `json:"backup"`
	// Node is where it was imported.
	Node string `json:"node"`
	// Retained are the retained messages before and after, by node.
	Before map[string]int `json:"retainedBefore"`
	After  map[string]int `json:"retainedAfter"`
}

// Restore has EMQX import a file that Backup wrote. Records of the file replace those
// of the same key; what else the cluster has, stays. It needs a cluster that is whole:
// a member that is away would come back with its older data. What the file says of
// listeners stays out. It ends when all members say that they have the same number of
// retained messages, and each listener of each of them stands.
func (c *Cluster) Restore(ctx context.Context, file RestoreFile, o BackupOptions) (Restored, error) {
	r, err := c.restore(ctx, file, &o)
	if err != nil {
		return r, fmt.Errorf("restoring: %w", err)
	}
	return r, nil
}

func (c *Cluster) restore(ctx context.Context, file RestoreFile, o *BackupOptions) (Restored, error) {
	b, err := ReadBackup(file)
	r := Restored{Backup: b}
	if err != nil {
		return r, err
	}
	if formed := askGate(ctx, c.Formed); formed.asked && !formed.holds {
		return r, fmt.Errorf("the cluster is not whole: %s", formed.seen)
	}
	if err := c.choose(ctx, o); err != nil {
		return r, err
	}
	r.Node = c.Nodes[o.Node].Name
	if r.Before, err = c.retained(ctx); err != nil {
		return r, err
	}
	part, sent, remove, err := withoutListeners(file, b)
	if err != nil {
		return r, err
	}
	defer remove()
	if sent.SHA256 != b.SHA256 {
		o.Report("left out: the backup's [" + listenersRoot + "]; where EMQX listens is the stack's")
	}
	dir := tempDir()
	defer c.sweep(ctx, o.Node, dir)
	if err := c.send(ctx, o, part, sent, dir); err != nil {
		return r, err
	}
	o.Report("importing on " + r.Node)
	said, err := c.work(ctx, o.Node, dir, importScript, b.Name)
	if err != nil {
		return r, err
	}
	for line := range strings.Lines(said) {
		o.Report(r.Node + ": " + strings.TrimSpace(line))
	}
	switch last := gates.OneLine(lastLines(said, 1)); {
	case strings.Contains(said, "Data has been imported, but some errors occurred"):
		return r, errors.New("EMQX imported a part: what it says above names what it did not take")
	case !strings.Contains(said, "Data has been imported successfully"):
		return r, fmt.Errorf("EMQX imported nothing: %s", last)
	}
	if formed := askGate(ctx, c.Formed); formed.asked && !formed.holds {
		return r, fmt.Errorf("it is imported, and the cluster is not whole any more: %s", formed.seen)
	}
	r.After, err = c.agreed(ctx)
	return r, err
}

// send copies a file into a new folder of the node, in chunks that are checked one by
// one and then as a whole.
func (c *Cluster) send(ctx context.Context, o *BackupOptions, file RestoreFile, b Backup, dir string) error {
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("reading the backup: %w", err)
	}
	const part = `set -eu; umask 077; mkdir -p "$1"; head -c "$3" | base64 -d >"$1/$2"; sha256sum "$1/$2" | cut -d ' ' -f 1`
	buffer := make([]byte, chunk)
	for i, left := 0, b.Size; left > 0; i++ {
		n, err := io.ReadFull(file, buffer[:min(chunk, left)])
		if err != nil {
			return fmt.Errorf("reading the backup: %w", err)
		}
		left -= int64(n)
		text := base64.StdEncoding.EncodeToString(buffer[:n])
		sum := sha256.Sum256(buffer[:n])
		name := fmt.Sprintf("part.%06d", i)
		if err := c.sendPart(ctx, o.Node, text, hex.EncodeToString(sum[:]), "/bin/sh", "-c", part, "part", dir, name, strconv.Itoa(len(text))); err != nil {
			return fmt.Errorf("copying the backup to %s: %w", c.Nodes[o.Node].Name, err)
		}
		if b.Size > chunk {
			o.Report(fmt.Sprintf("copied %d of %d MB", (b.Size-left)>>20, b.Size>>20))
		}
	}
	const whole = `cd "$1" && { [ -f "$2" ] || { cat part.* >whole && mv whole "$2" && rm part.*; }; }; sha256sum "$2" | cut -d ' ' -f 1`
	r, err := c.Ask(ctx, o.Node, "/bin/sh", "-c", whole, "whole", dir, b.Name)
	if err == nil && strings.TrimSpace(r.Stdout) != b.SHA256 {
		err = fmt.Errorf("its SHA-256 there is %q, not %s %s", strings.TrimSpace(r.Stdout), b.SHA256, gates.OneLine(r.Stderr))
	}
	if err != nil {
		return fmt.Errorf("copying the backup to %s: %w", c.Nodes[o.Node].Name, err)
	}
	return nil
}

// sendPart is tried three times: writing it again does no harm.
func (c *Cluster) sendPart(ctx context.Context, i int, text, sum string, command ...string) (err error) {
	for range 3 {
		var out, said bytes.Buffer
		bounded, cancel := context.WithTimeout(ctx, 3*askTimeout)
		var exit int
		exit, err = c.Run(bounded, i, gates.Streams{In: strings.NewReader(text), Out: &out, Err: &said}, command...)
		cancel()
		if err == nil && strings.TrimSpace(out.String()) == sum {
			return nil
		}
		if err == nil {
			err = fmt.Errorf("a part arrived as something else: exit code %d, SHA-256 %q %s", exit, strings.TrimSpace(out.String()), gates.OneLine(said.String()))
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return err
}

// choose picks the node to work on.
func (c *Cluster) choose(ctx context.Context, o *BackupOptions) error {
	if o.Report == nil {
		o.Report = func(string) {}
	}
	if o.Node >= 0 {
		_, err := c.Broker(ctx, o.Node)
		return err
	}
	var faults []error
	for i := range c.Nodes {
		a, err := c.Broker(ctx, i)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		v := c.view(ctx, a)
		if v.Answered {
			o.Node = i
			return nil
		}
		faults = append(faults, fmt.Errorf("EMQX on %s does not answer: %s", c.Nodes[i].Name, v.Says))
	}
	return errors.Join(faults...)
}

// work runs a script that changes something, once, and waits until it has left the
// file done in dir, whatever became of its own output. It returns what EMQX said.
func (c *Cluster) work(ctx context.Context, i int, dir, script string, args ...string) (said string, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, exportTime, fmt.Errorf("EMQX on %s is not through after %s", c.Nodes[i].Name, exportTime))
	defer cancel()
	var text bytes.Buffer
	exit, err := c.Run(ctx, i, gates.Streams{Out: &text, Err: &text}, append([]string{"/bin/sh", "-c", script, "work", dir}, args...)...)
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	if err != nil {
		return "", err
	}
	r, err := c.Ask(ctx, i, "/bin/sh", "-c", `cat "$1/said"; [ -f "$1/done" ]`, "said", dir)
	if err == nil && r.Exit != 0 {
		err = fmt.Errorf("the work on %s broke off: exit code %d: %s", c.Nodes[i].Name, exit, gates.OneLine(text.String()+" "+r.Stdout+" "+r.Stderr))
	}
	return r.Stdout, err
}

// sweep leaves nothing behind on the node, also when ctx has ended.
func (c *Cluster) sweep(ctx context.Context, i int, dir string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sweepTime)
	defer cancel()
	_, _ = c.Ask(ctx, i, "/bin/sh", "-c", sweepScript, "sweep", dir)
}

// tempDir is a new folder on a node; its name is nobody else's.
func tempDir() string {
	b := make([]byte, 8)
	_, _ = rand.Read(b) // never fails
	return "/tmp/emqx-oci-" + hex.EncodeToString(b)
}

// retained counts the retained messages that each member knows.
func (c *Cluster) retained(ctx context.Context) (map[string]int, error) {
	counts, errs := make([]int, len(c.Nodes)), make([]error, len(c.Nodes))
	together(eachNode(len(c.Nodes), func(i int) {
		r, err := c.Ask(ctx, i, "emqx", "ctl", "retainer", "info")
		_, number, ok := strings.Cut(strings.TrimSpace(r.Stdout), "Number of retained messages: ")
		if err == nil && ok {
			counts[i], err = strconv.Atoi(strings.TrimSpace(number))
		}
		if err == nil && !ok {
			err = fmt.Errorf("counting retained messages on %s: %s", c.Nodes[i].Name, gates.OneLine(r.Stdout+" "+r.Stderr))
		}
		errs[i] = err
	})...)
	all := map[string]int{}
	for i, n := range counts {
		all[c.Nodes[i].Name] = n
	}
	return all, errors.Join(errs...)
}

// agreement is how long members may take to have the same retained messages.
const agreement = 20 * time.Second

func (c *Cluster) agreed(ctx context.Context) (map[string]int, error) {
	for end := c.Clock.Now().Add(agreement); ; {
		all, err := c.retained(ctx)
		if err != nil {
			return all, err
		}
		same := true
		for _, n := range all {
			same = same && n == all[c.Nodes[0].Name]
		}
		if same {
			return all, nil
		}
		if !c.Clock.Now().Before(end) {
			return all, fmt.Errorf("it is imported, and after %s the members still have different numbers of retained messages: %v", agreement, all)
		}
		// Each look takes a second or more: no pause is needed between two.
	}
}

// lastLines are the last n lines of a text.
func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
