package operate

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
)

// listenersRoot is the part of an archive's settings that is never imported: EMQX would
// write it on all members at once, and those of another cluster, or of an older stack,
// close the ports that HAProxy knows. Where EMQX listens is the stack's.
const listenersRoot = "listeners"

// withoutListeners is the archive as it is imported: itself when it says nothing of
// listeners, else a copy that does not. The copy goes with the returned function.
func withoutListeners(file RestoreFile, b Backup) (RestoreFile, Backup, func(), error) {
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil, b, nil, err
	}
	copied, err := os.CreateTemp("", "emqx-oci-restore-*") // closed to others: it holds password hashes
	if err != nil {
		return nil, b, nil, err
	}
	remove := func() {
		_ = copied.Close()
		_ = os.Remove(copied.Name())
	}
	dropped, err := copyArchive(copied, file)
	if err == nil && dropped {
		var c Backup
		if _, err = copied.Seek(0, io.SeekStart); err == nil {
			c, err = ReadBackup(copied)
		}
		if err == nil {
			return copied, c, remove, nil
		}
	}
	remove()
	if err != nil {
		return nil, b, nil, fmt.Errorf("leaving [%s] out of the backup: %w", listenersRoot, err)
	}
	return file, b, func() {}, nil
}

// copyArchive copies a checked archive, but for the listeners in its cluster.hocon.
func copyArchive(to io.Writer, from io.Reader) (dropped bool, err error) {
	z, err := gzip.NewReader(from)
	if err != nil {
		return false, err
	}
	z.Multistream(false)
	zw := gzip.NewWriter(to)
	w := tar.NewWriter(zw)
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return false, err
		}
		var content io.Reader = r
		if _, rest, _ := strings.Cut(path.Clean(h.Name), "/"); rest == "cluster.hocon" {
			text, err := io.ReadAll(r)
			if err != nil {
				return false, err
			}
			var kept string
			if kept, dropped, err = dropListeners(string(text)); err != nil {
				return false, fmt.Errorf("%s: %w", h.Name, err)
			}
			h.Size, content = int64(len(kept)), strings.NewReader(kept)
		}
		if err := w.WriteHeader(h); err != nil {
			return false, err
		}
		if _, err := io.Copy(w, content); err != nil {
			return false, err
		}
	}
	return dropped, errors.Join(w.Close(), zw.Close())
}

// dropListeners takes all fields below the root of the listeners out of a HOCON text.
func dropListeners(text string) (kept string, dropped bool, err error) {
	var out strings.Builder
	for len(text) > 0 {
		end, err := fieldEnd(text)
		if err != nil {
			return "", false, err
		}
		if rootOf(text[:end]) == listenersRoot {
			dropped = true
		} else {
			out.WriteString(text[:end])
		}
		text = text[end:]
	}
	return out.String(), dropped, nil
}

// rootOf is the first part of a field's path.
func rootOf(field string) string {
	field = strings.TrimLeft(field, " \t\r\n")
	if quoted, ok := strings.CutPrefix(field, `"`); ok {
		name, _, _ := strings.Cut(quoted, `"`)
		return name
	}
	if at := strings.IndexAny(field, " \t\r\n.{=:+"); at >= 0 {
		field = field[:at]
	}
	return field
}

// fieldEnd is where the first field of a text ends: at a line feed or comma that is in no
// brace, bracket, text or comment.
func fieldEnd(s string) (int, error) {
	skip := func(from int, end string) (int, error) {
		if at := strings.Index(s[from:], end); at >= 0 {
			return from + at + len(end), nil
		}
		return 0, errors.New("a text does not end")
	}
	depth := 0
	for i := 0; i < len(s); {
		var err error
		switch rest := s[i:]; {
		case strings.HasPrefix(rest, `"""`):
			i, err = skip(i+3, `"""`)
		case rest[0] == '"':
			for i++; i < len(s) && s[i] != '"'; i++ {
				if s[i] == '\\' {
					i++
				}
			}
			i++
			if i > len(s) {
				err = errors.New("a text does not end")
			}
		case rest[0] == '#' || strings.HasPrefix(rest, "//"):
			at := strings.IndexByte(rest, '\n')
			if at < 0 {
				at = len(rest)
			}
			i += at
		case strings.IndexByte("{[", rest[0]) >= 0:
			depth++
			i++
		case strings.IndexByte("}]", rest[0]) >= 0:
			depth--
			i++
		case depth == 0 && strings.IndexByte("\n,", rest[0]) >= 0:
			return i + 1, nil
		default:
			i++
		}
		if depth < 0 {
			err = errors.New("a brace or bracket is closed that was not opened")
		}
		if err != nil {
			return 0, err
		}
	}
	if depth > 0 {
		return 0, errors.New("a brace or bracket is not closed")
	}
	return len(s), nil
}
