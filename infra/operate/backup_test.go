package operate

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/infra/gates"
)

// archive is an export; body is so many bytes that do not compress.
func archive(t *testing.T, root, meta string, body int) []byte {
	t.Helper()
	noise := make([]byte, body)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	return tarOf(t, [][2]string{{root + "/META.hocon", meta}, {root + "/cluster.hocon", ""}, {root + "/mnesia/emqx_app", string(noise)}, {root + "/mnesia/emqx_admin", "x"}})
}

func tarOf(t *testing.T, files [][2]string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, f := range files {
		h := &tar.Header{Name: f[0], Size: int64(len(f[1])), Mode: 0o644}
		if f[1] == "link" {
			h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, "/etc/passwd", 0
		}
		assert.NilError(t, w.WriteHeader(h))
		if h.Size > 0 {
			_, err := w.Write([]byte(f[1]))
			assert.NilError(t, err)
		}
	}
	assert.NilError(t, w.Close())
	assert.NilError(t, z.Close())
	return b.Bytes()
}

const goodMeta = "edition = ce\nversion = \"5.8.9\"\n"

func TestWhatIsNoBackup(t *testing.T) {
	good := archive(t, "emqx-export-1", goodMeta, 10)
	many := [][2]string{{"a/META.hocon", goodMeta}}
	for i := range maxEntries {
		many = append(many, [2]string{fmt.Sprintf("a/%d", i), ""})
	}
	zeros := strings.Repeat("\x00", 2*freeSize)
	for name, c := range map[string]struct {
		file []byte
		want string
	}{
		"text":        {[]byte("hello"), "it is no gzip file"},
		"empty":       {nil, "it is no gzip file"},
		"cut off":     {good[:len(good)-9], "it is no whole gzip file"},
		"no meta":     {tarOf(t, [][2]string{{"a/b", "x"}}), "no META.hocon"},
		"other meta":  {archive(t, "a", "edition = ce\n", 1), "no META.hocon"},
		"two folders": {tarOf(t, [][2]string{{"a/META.hocon", goodMeta}, {"b/x", "x"}}), `"b/x" does not lie in one folder`},
		"out of it":   {tarOf(t, [][2]string{{"a/META.hocon", goodMeta}, {"a/../../x", "x"}}), `"a/../../x" does not lie in one folder`},
		"absolute":    {tarOf(t, [][2]string{{"/etc/x", "x"}}), `"/etc/x" does not lie in one folder`},
		"a link":      {tarOf(t, [][2]string{{"a/META.hocon", goodMeta}, {"a/l", "link"}}), `"a/l" is neither a file nor a folder`},
		"too large":   {tarOf(t, [][2]string{{"a/META.hocon", goodMeta}, {"a/mnesia/emqx_app", zeros}}), "it unpacks to more than"},
		"too many":    {tarOf(t, many), "it has more than 10000 files"},
		"a title":     {archive(t, "a", "edition = ce\nversion = \"5.8.9\x1b]0;x\x07\"\n", 1), "no META.hocon"},
		"a bell":      {tarOf(t, [][2]string{{"a/META.hocon", goodMeta}, {"a/mnesia/\x07", "x"}}), `"\a" is no name of a table`},
		"for a shell": {tarOf(t, [][2]string{{"a;reboot/META.hocon", goodMeta}}), "does not lie in one folder"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ReadBackup(bytes.NewReader(c.file))
			assert.ErrorContains(t, err, "reading the backup: ")
			assert.ErrorContains(t, err, c.want)
		})
	}
	b, err := ReadBackup(bytes.NewReader(append(good, "rest"...)))
	assert.NilError(t, err)
	assert.Equal(t, b.Size, int64(len(good)+4))
	b.Size, b.SHA256 = 0, ""
	assert.DeepEqual(t, b, Backup{Name: "emqx-export-1.tar.gz", Version: "5.8.9", Edition: "ce", Tables: []string{"emqx_admin", "emqx_app"}})
}

// store is a world whose EMQX exports and imports, by a real shell. Its `emqx` is a
// script over a folder.
type store struct {
	*world
	dir  string
	lose func(command string) bool // told of each command; whether a stream loses its output

	one sync.Mutex // the nodes are asked at once; lose is told by one at a time
}

const storeEMQX = `#!/bin/sh
case "$2 $3" in
"retainer info") echo "Number of retained messages: $(cat $STORE/retained)" ;;
"data export")
  [ -f $STORE/refuse ] && { echo '[error] Data export failed, reason: "no space".'; exit 0; }
  cp $STORE/export $STORE/emqx-export-1.tar.gz; echo 'Exporting emqx_app database table...'; echo once >>$STORE/exports
  echo "Data has been successfully exported to $STORE/emqx-export-1.tar.gz." ;;
"data import")
  [ -f $STORE/refuse ] && { echo '[error] Data import failed, reason: "too new".'; exit 0; }
  cp "$4" $STORE/imported; basename "$4" >$STORE/name; echo 7 >$STORE/retained; echo once >>$STORE/imports
  echo 'Data has been imported successfully.' ;;
esac`

func newStore(t *testing.T, export []byte) *store {
	s := &store{world: newWorld(t, 3), dir: t.TempDir(), lose: func(string) bool { return false }}
	assert.NilError(t, os.WriteFile(filepath.Join(s.dir, "emqx"), []byte(storeEMQX), 0o755))
	s.put("export", string(export))
	s.put("retained", "0\n")
	return s
}

func (s *store) put(name, text string) {
	assert.NilError(s.t, os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600))
}

func (s *store) got(name string) string {
	b, _ := os.ReadFile(filepath.Join(s.dir, name))
	return string(b)
}

func (s *store) open() *Cluster {
	c := s.cluster()
	c.Nomad = s
	return c
}

// Stream may lose what a command says, as Nomad's does.
func (s *store) Stream(ctx context.Context, _, _ string, streams gates.Streams, command ...string) (int, error) {
	if s.loses(command) {
		streams.Out = nil
	}
	return s.run(ctx, streams, command)
}

// Exec loses nothing.
func (s *store) Exec(ctx context.Context, alloc, task string, command ...string) (gates.ExecResult, error) {
	if command[0] == "timeout" { // a member is asked
		return s.world.Exec(ctx, alloc, task, command...)
	}
	s.loses(command)
	var out, said bytes.Buffer
	exit, err := s.run(ctx, gates.Streams{Out: &out, Err: &said}, command)
	return gates.ExecResult{Stdout: out.String(), Stderr: said.String(), Exit: exit}, err
}

func (s *store) loses(command []string) bool {
	s.one.Lock()
	defer s.one.Unlock()
	return s.lose(strings.Join(command, " "))
}

func (s *store) run(ctx context.Context, streams gates.Streams, command []string) (int, error) {
	cmd := exec.CommandContext(ctx, "/usr/bin/env", command...) // looks for it in the PATH below
	cmd.Env = []string{"PATH=" + s.dir + ":" + os.Getenv("PATH"), "STORE=" + s.dir}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = streams.In, streams.Out, streams.Err
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return 0, err
	}
	return cmd.ProcessState.ExitCode(), nil
}

func leftovers(t *testing.T) int {
	t.Helper()
	found, err := filepath.Glob("/tmp/emqx-oci-????????????????")
	assert.NilError(t, err)
	return len(found)
}

func tempFile(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "backup"))
	assert.NilError(t, err)
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func TestABackupGoesOutAndIn(t *testing.T) {
	before := leftovers(t)
	export := archive(t, "emqx-export-1", goodMeta, 5<<19) // two chunks and a half
	s := newStore(t, export)
	calls := map[string]int{}
	s.lose = func(command string) bool { // each command's output is lost once
		calls[command]++
		return calls[command] == 1
	}
	f := tempFile(t)
	b, err := s.open().Backup(t.Context(), f, BackupOptions{Node: -1})
	assert.NilError(t, err)
	assert.Equal(t, b.Size, int64(len(export)))
	text, err := os.ReadFile(f.Name())
	assert.NilError(t, err)
	assert.Assert(t, bytes.Equal(text, export))
	assert.Equal(t, s.got("exports"), "once\n")
	assert.Equal(t, s.got("emqx-export-1.tar.gz"), "", "the export is taken away")

	var said []string
	r, err := s.open().Restore(t.Context(), f, BackupOptions{Node: 1, Report: func(line string) { said = append(said, line) }})
	assert.NilError(t, err)
	assert.Assert(t, s.got("imported") == string(export))
	assert.Equal(t, s.got("name"), "emqx-export-1.tar.gz\n", "whatever the file is called here")
	assert.Equal(t, s.got("imports"), "once\n")
	assert.Equal(t, r.Node, "emqx-lab-1")
	assert.DeepEqual(t, r.Before, map[string]int{"emqx-lab-0": 0, "emqx-lab-1": 0, "emqx-lab-2": 0})
	assert.DeepEqual(t, r.After, map[string]int{"emqx-lab-0": 7, "emqx-lab-1": 7, "emqx-lab-2": 7})
	assert.Assert(t, strings.Contains(strings.Join(said, "\n"), "copied 2 of 2 MB\nimporting on emqx-lab-1\nemqx-lab-1: Data has been imported successfully."), "%q", said)
	assert.Equal(t, leftovers(t), before)
}

func TestABackupThatFails(t *testing.T) {
	before := leftovers(t)
	export := archive(t, "emqx-export-1", goodMeta, 100)
	for name, c := range map[string]struct {
		set     func(*store)
		backup  string
		restore string
	}{
		"refused": {
			func(s *store) { s.put("refuse", "") },
			`backing up: EMQX exported nothing: [error] Data export failed, reason: "no space".`,
			`restoring: EMQX imported nothing: [error] Data import failed, reason: "too new".`,
		},
		"no EMQX": {func(s *store) {
			for _, a := range s.allocs {
				a.ClientStatus = "failed"
			}
		}, "finding EMQX on emqx-lab-2: no EMQX allocation runs", "no EMQX allocation runs"},
		"not whole": {func(s *store) {
			s.formed = func() (gates.Status, error) { return gates.Status{Seen: "2/3 EMQX nodes running"}, nil }
		}, "", "restoring: the cluster is not whole: 2/3 EMQX nodes running"},
		"Nomad away": {func(s *store) { s.nomadErr = fmt.Errorf("connection refused") }, "connection refused", "connection refused"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t, export)
			c.set(s)
			_, err := s.open().Backup(t.Context(), tempFile(t), BackupOptions{Node: -1})
			if c.backup == "" {
				assert.NilError(t, err)
			} else {
				assert.ErrorContains(t, err, c.backup)
			}
			_, err = s.open().Restore(t.Context(), bytes.NewReader(export), BackupOptions{Node: -1})
			assert.ErrorContains(t, err, c.restore)
			assert.Equal(t, s.got("imports"), "")
		})
	}
	s := newStore(t, archive(t, "emqx-export-1", goodMeta, 5<<19))
	ctx, stop := context.WithCancel(t.Context())
	s.lose = func(command string) bool {
		if strings.Contains(command, "dd if=") {
			stop()
		}
		return false
	}
	_, err := s.open().Backup(ctx, tempFile(t), BackupOptions{Node: 0})
	assert.ErrorContains(t, err, "context canceled")
	assert.Equal(t, s.got("emqx-export-1.tar.gz"), "", "the export is taken away, also after Ctrl-C")
	assert.Equal(t, leftovers(t), before)
}
