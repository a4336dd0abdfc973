package main

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// install puts a release's program into folder, and leaves nothing there when it fails. sums
// are those of parseSums.
func (f fetcher) install(ctx context.Context, r release, p platform, sums map[string]string, folder string) error {
	v := vendors[r.program]
	name := v.archive(r.version, p)
	want := sums[name]
	if want == "" {
		return fmt.Errorf("%s has no sum in tools/prebuilt/SHA256SUMS (make prebuilt-sums looks it up)", name)
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp(folder, "."+r.program+"-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	archive := filepath.Join(work, name)
	got, err := f.download(ctx, r, name, archive)
	if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("REFUSED: %s is not what its vendor published: its SHA-256 must be %s, got %s", name, want, got)
	}
	program := filepath.Join(work, r.program)
	if err := extract(archive, v.member, program); err != nil {
		return fmt.Errorf("unpacking %s: %w", name, err)
	}
	if err := runs(ctx, program, r.version); err != nil {
		return err
	}
	return os.Rename(program, filepath.Join(folder, r.program))
}

// download writes a release's file to path and gives its SHA-256 in hexadecimal.
func (f fetcher) download(ctx context.Context, r release, name, path string) (sum string, err error) {
	file, err := os.Create(path)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	hash := sha256.New()
	if err := f.copyTo(ctx, io.MultiWriter(file, hash), r, name); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// extract writes one member of a .zip or .tar.gz to path, as a program.
func extract(archive, member, path string) error {
	file, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer file.Close()
	if strings.HasSuffix(archive, ".zip") {
		info, err := file.Stat()
		if err != nil {
			return err
		}
		files, err := zip.NewReader(file, info.Size())
		if err != nil {
			return err
		}
		content, err := files.Open(member)
		if err != nil {
			return err
		}
		defer content.Close()
		return writeProgram(path, content)
	}
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		return err
	}
	for files := tar.NewReader(unzipped); ; {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("it has no file %s", member)
		}
		if err != nil {
			return err
		}
		if header.Typeflag == tar.TypeReg && strings.TrimPrefix(header.Name, "./") == member {
			return writeProgram(path, files)
		}
	}
}

func writeProgram(path string, content io.Reader) (err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	n, err := io.Copy(file, io.LimitReader(content, largest+1))
	if err == nil && n > largest {
		err = errors.New("more than 1 GiB")
	}
	return err
}

// runs tells whether the program starts on this machine, whose C library may not be its own,
// and is of the version.
func runs(ctx context.Context, program, version string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, program, "version")
	command.Env = append(os.Environ(), "PULUMI_SKIP_UPDATE_CHECK=true")
	out, err := command.Output()
	if err != nil {
		return fmt.Errorf("it does not run here: %w", err)
	}
	first, _, _ := strings.Cut(string(out), "\n")
	if !strings.HasSuffix(first, "v"+version) {
		return fmt.Errorf("its version must be v%s, it says %q", version, first)
	}
	return nil
}
