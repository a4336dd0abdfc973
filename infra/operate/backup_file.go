package operate

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Backup is what a file says that EMQX has exported: a tar.gz whose entries all lie in
// one folder, with META.hocon, cluster.hocon and a file for each table.
type Backup struct {
	// Name is the file's name at its export. EMQX imports it under no other: the folder
	// inside is called the same.
	Name string `json:"name"`
	// Version and Edition ("ce", "ee") are those of the EMQX that exported.
	Version string `json:"version"`
	Edition string `json:"edition"`
	// Tables are EMQX's names, such as emqx_retainer_message.
	Tables []string `json:"tables"`
	Size   int64    `json:"size"` // bytes
	SHA256 string   `json:"sha256"`
}

// exportName is how EMQX calls its exports: of its characters none means anything to a
// shell, and none leads out of a folder.
var exportName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$`)

var metaLine = regexp.MustCompile(`(?m)^\s*"?(edition|version)"?\s*[=:]\s*"?([^"\s,}]+)"?`)

// ReadBackup checks a whole file, without asking a cluster. All that EMQX would find
// wrong with it before the import begins is found here.
func ReadBackup(r io.Reader) (Backup, error) {
	sum, counted := sha256.New(), &counter{}
	all := io.TeeReader(r, io.MultiWriter(sum, counted))
	b, err := readArchive(all)
	if err != nil {
		return b, fmt.Errorf("reading the backup: %w", err)
	}
	if _, err := io.Copy(io.Discard, all); err != nil { // what the archive left unread
		return b, fmt.Errorf("reading the backup: %w", err)
	}
	b.Size, b.SHA256 = counted.n, hex.EncodeToString(sum.Sum(nil))
	return b, nil
}

type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}

func readArchive(r io.Reader) (b Backup, err error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return b, fmt.Errorf("it is no gzip file: %w", err)
	}
	z.Multistream(false)
	root := ""
	for t := tar.NewReader(z); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return b, fmt.Errorf("it is no whole tar file: %w", err)
		}
		first, rest, _ := strings.Cut(path.Clean(h.Name), "/")
		switch {
		case h.Typeflag != tar.TypeReg && h.Typeflag != tar.TypeDir:
			return b, fmt.Errorf("%q is neither a file nor a folder", h.Name)
		case !exportName.MatchString(first) || root != "" && first != root:
			return b, fmt.Errorf("%q does not lie in one folder with the rest, as in an export of EMQX", h.Name)
		}
		root = first
		switch dir, table := path.Split(rest); {
		case rest == "META.hocon":
			text, err := io.ReadAll(io.LimitReader(t, 1<<16))
			if err != nil {
				return b, err
			}
			for _, m := range metaLine.FindAllStringSubmatch(string(text), -1) {
				if m[1] == "edition" {
					b.Edition = m[2]
				} else {
					b.Version = m[2]
				}
			}
		case dir == "mnesia/" && h.Typeflag == tar.TypeReg:
			b.Tables = append(b.Tables, table)
		}
		if _, err := io.Copy(io.Discard, t); err != nil { //nolint:gosec // nothing is kept
			return b, fmt.Errorf("it is no whole tar file: %w", err)
		}
	}
	if _, err := io.Copy(io.Discard, z); err != nil { //nolint:gosec // to its check sum; nothing is kept
		return b, fmt.Errorf("it is no whole gzip file: %w", err)
	}
	if b.Version == "" || b.Edition == "" {
		return b, errors.New("it has no META.hocon with edition and version: no export of EMQX 5.1 or later")
	}
	b.Name = root + ".tar.gz"
	slices.Sort(b.Tables)
	return b, nil
}
