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

var metaLine = regexp.MustCompile(`(?m)^\s*"?(edition|version)"?\s*[=:]\s*"?([0-9A-Za-z.+_-]{1,60})"?\s*[,}]?\s*$`)

// What an export may come to. EMQX's tables shrink to a tenth at best, and a node
// unpacks all of it on its data disk.
const (
	maxRatio   = 100      // unpacked to packed
	freeSize   = 64 << 20 // bytes, unpacked, whatever the ratio
	maxSize    = 64 << 30 // bytes, unpacked
	maxEntries = 10_000   // files and folders
)

// ReadBackup checks a whole file, without asking a cluster. All that EMQX would find
// wrong with it before the import begins is found here.
func ReadBackup(r io.Reader) (Backup, error) {
	sum, counted := sha256.New(), &counter{}
	all := io.TeeReader(r, io.MultiWriter(sum, counted))
	b, err := readArchive(all, counted)
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

// unpacked is what is in a packed file, as far as it is no trap.
type unpacked struct {
	r      io.Reader
	packed *counter // what of the file has been read
	n      int64
}

func (u *unpacked) Read(p []byte) (int, error) {
	n, err := u.r.Read(p)
	u.n += int64(n)
	if limit := min(freeSize+maxRatio*u.packed.n, maxSize); u.n > limit {
		return 0, fmt.Errorf("it unpacks to more than %d MB from %d kB: no export of EMQX", limit>>20, u.packed.n>>10)
	}
	return n, err
}

func readArchive(r io.Reader, packed *counter) (b Backup, err error) {
	gz, err := gzip.NewReader(r)
	if err != nil {
		return b, fmt.Errorf("it is no gzip file: %w", err)
	}
	gz.Multistream(false)
	z := &unpacked{r: gz, packed: packed}
	root, entries := "", 0
	for t := tar.NewReader(z); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return b, fmt.Errorf("it is no whole tar file: %w", err)
		}
		first, rest, _ := strings.Cut(path.Clean(h.Name), "/")
		entries++
		switch {
		case entries > maxEntries:
			return b, fmt.Errorf("it has more than %d files: no export of EMQX", maxEntries)
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
		case dir == "mnesia/" && h.Typeflag == tar.TypeReg && !exportName.MatchString(table):
			return b, fmt.Errorf("%q is no name of a table", table)
		case dir == "mnesia/" && h.Typeflag == tar.TypeReg:
			b.Tables = append(b.Tables, table)
		}
		if _, err := io.Copy(io.Discard, t); err != nil { //nolint:gosec // nothing is kept
			return b, fmt.Errorf("it is no whole tar file: %w", err)
		}
	}
	if _, err := io.Copy(io.Discard, z); err != nil {
		return b, fmt.Errorf("it is no whole gzip file: %w", err)
	}
	if b.Version == "" || b.Edition == "" {
		return b, errors.New("it has no META.hocon with edition and version: no export of EMQX 5.1 or later")
	}
	b.Name = root + ".tar.gz"
	slices.Sort(b.Tables)
	return b, nil
}
