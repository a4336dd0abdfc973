package images

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"sort"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// entry is one file of an image.
type entry struct {
	path string
	mode int64 // with the type bits of tar left out
	uid  int
	dir  bool
	link string
	data []byte
	file string // read from this file of the machine instead of data
}

// tree collects entries; the last one of a path wins.
type tree map[string]entry

func (t tree) add(e entry) {
	e.path = path.Clean("/" + e.path)
	t[e.path] = e
}

// program adds a file of the machine and, if it is dynamic, its libraries.
func (t tree) program(target, source string) error {
	real, err := filepath.EvalSymlinks(source)
	if err != nil {
		return fmt.Errorf("adding %s: %w", target, err)
	}
	t.add(entry{path: target, mode: 0o755, file: real})
	dynamic, err := isDynamic(real)
	if err != nil || !dynamic {
		return err
	}
	out, err := exec.Command("ldd", real).Output() //nolint:noctx // it reads a few headers, and ends
	if err != nil {
		return fmt.Errorf("listing the libraries of %s: %w", real, err)
	}
	libs, err := parseLDD(string(out))
	if err != nil {
		return fmt.Errorf("listing the libraries of %s: %w", real, err)
	}
	for _, l := range libs {
		f, err := filepath.EvalSymlinks(l)
		if err != nil {
			return fmt.Errorf("adding library %s: %w", l, err)
		}
		t.add(entry{path: l, mode: 0o755, file: f})
	}
	return nil
}

func isDynamic(file string) (bool, error) {
	f, err := elf.Open(file)
	var format *elf.FormatError
	if errors.As(err, &format) {
		return false, nil // a script
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return true, nil
		}
	}
	return false, nil
}

// parseLDD reads ldd's lines: "libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x..)",
// "/lib64/ld-linux-x86-64.so.2 (0x..)", "linux-vdso.so.1 (0x..)".
func parseLDD(out string) ([]string, error) {
	var libs []string
	for _, l := range strings.Split(out, "\n") {
		l = strings.TrimSpace(l)
		if strings.Contains(l, "not found") {
			return nil, fmt.Errorf("library missing: %s", l)
		}
		if _, after, ok := strings.Cut(l, "=>"); ok {
			l = strings.TrimSpace(after)
		}
		file, _, _ := strings.Cut(l, " ")
		if strings.HasPrefix(file, "/") {
			libs = append(libs, file)
		}
	}
	return libs, nil
}

// layer renders the tree, parents first, always with the same bytes.
func (t tree) layer() (v1.Layer, error) {
	for p := range t {
		for d := path.Dir(p); d != "/"; d = path.Dir(d) {
			if _, ok := t[d]; !ok {
				t[d] = entry{path: d, mode: 0o755, dir: true}
			}
		}
	}
	paths := make([]string, 0, len(t))
	for p := range t {
		paths = append(paths, p)
	}
	sort.Strings(paths)
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, p := range paths {
		e := t[p]
		h := &tar.Header{Name: strings.TrimPrefix(p, "/"), Mode: e.mode, Uid: e.uid, Gid: e.uid, Typeflag: tar.TypeReg}
		switch {
		case e.dir:
			h.Typeflag, h.Name = tar.TypeDir, h.Name+"/"
		case e.link != "":
			h.Typeflag, h.Linkname = tar.TypeSymlink, e.link
		case e.file != "":
			data, err := os.ReadFile(e.file)
			if err != nil {
				return nil, err
			}
			e.data = data
		}
		h.Size = int64(len(e.data))
		if err := w.WriteHeader(h); err != nil {
			return nil, fmt.Errorf("packing %s: %w", p, err)
		}
		if _, err := w.Write(e.data); err != nil {
			return nil, fmt.Errorf("packing %s: %w", p, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	raw := buf.Bytes()
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(raw)), nil })
}

func (t tree) image(cfg v1.Config) (v1.Image, error) {
	l, err := t.layer()
	if err != nil {
		return nil, err
	}
	img, err := mutate.AppendLayers(empty.Image, l)
	if err != nil {
		return nil, err
	}
	f, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	f = f.DeepCopy()
	f.OS, f.Architecture, f.Config = "linux", runtime.GOARCH, cfg
	return mutate.ConfigFile(img, f)
}

// userland adds what the real images' users count on: a shell and the few
// commands that scripts in a job would call.
func (t tree) userland() error {
	for _, c := range []struct{ target, name string }{
		{"/bin/sh", "sh"},
		{"/bin/bash", "bash"},
		{"/bin/cat", "cat"},
		{"/bin/ls", "ls"},
		{"/bin/cp", "cp"},
		{"/bin/rm", "rm"},
		{"/bin/mkdir", "mkdir"},
		{"/bin/sleep", "sleep"},
		{"/bin/kill", "kill"},
		{"/bin/mv", "mv"},
		{"/bin/chmod", "chmod"},
		{"/bin/touch", "touch"},
		{"/bin/dd", "dd"},
		{"/bin/sed", "sed"},
		{"/usr/bin/cut", "cut"},
		{"/usr/bin/od", "od"},
		{"/usr/bin/tr", "tr"},
		{"/usr/bin/head", "head"},
		{"/usr/bin/tail", "tail"},
		{"/usr/bin/stat", "stat"},
		{"/usr/bin/od", "od"},
		{"/usr/bin/sha256sum", "sha256sum"},
		{"/bin/grep", "grep"},
		{"/usr/bin/base64", "base64"},
		{"/usr/bin/timeout", "timeout"},
		{"/usr/bin/flock", "flock"},
		{"/bin/date", "date"},
		{"/usr/bin/env", "env"},
		{"/usr/bin/id", "id"},
	} {
		p, err := exec.LookPath(c.name)
		if err != nil {
			return fmt.Errorf("adding %s: %w", c.target, err)
		}
		if err := t.program(c.target, p); err != nil {
			return err
		}
	}
	t.add(entry{path: "/tmp", mode: 0o1777, dir: true})
	t.add(entry{path: "/etc/nsswitch.conf", mode: 0o644, data: []byte("passwd: files\ngroup: files\nhosts: files dns\n")})
	return nil
}

func (t tree) user(name string, id int, home string) {
	t.add(entry{path: "/etc/passwd", mode: 0o644, data: fmt.Appendf(nil, "root:x:0:0:root:/root:/bin/sh\n%s:x:%d:%d::%s:/bin/sh\n", name, id, id, home)})
	t.add(entry{path: "/etc/group", mode: 0o644, data: fmt.Appendf(nil, "root:x:0:\n%s:x:%d:\n", name, id)})
	t.add(entry{path: home, mode: 0o755, uid: id, dir: true})
}
