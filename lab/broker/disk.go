package broker

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// member is one node of the cluster as every node knows it; the newest wins.
type member struct {
	Removed bool  `json:"removed,omitempty"`
	At      int64 `json:"at"`
}

// schema is what mnesia keeps about the cluster, under the node's own name: a
// node that starts under another name finds nothing.
type schema struct {
	Cluster string            `json:"cluster"`
	Members map[string]member `json:"members"`
	// Down are members this node saw stop while it ran itself. Whoever is not
	// in it may have newer data, and is waited for at start.
	Down map[string]int64 `json:"down"`
}

type store struct{ dir string }

func openStore(dataDir string, n nodeName) (store, error) {
	s := store{filepath.Join(dataDir, "mnesia", n.String())}
	if err := os.MkdirAll(s.dir, 0o750); err != nil {
		return s, fmt.Errorf("creating the data directory: %w (it has to be writable for uid %d)", err, os.Getuid())
	}
	f, err := os.CreateTemp(s.dir, ".probe")
	if err != nil {
		return s, fmt.Errorf("writing to the data directory: %w (it has to be writable for uid %d)", err, os.Getuid())
	}
	_ = f.Close()
	return s, os.Remove(f.Name())
}

// load reads a JSON file; false when there is none.
func (s store) load(name string, v any) (bool, error) {
	b, err := os.ReadFile(filepath.Join(s.dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil {
		err = json.Unmarshal(b, v)
	}
	if err != nil {
		return false, fmt.Errorf("reading %s: %w", filepath.Join(s.dir, name), err)
	}
	return true, nil
}

// save replaces a JSON file in one step, so that a kill leaves the old or the new.
func (s store) save(name string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	path := filepath.Join(s.dir, name)
	f, err := os.CreateTemp(s.dir, "."+name)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	_ = f.Close()
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	return err
}

// wipe is what joining does to the joiner.
func (s store) wipe() error {
	if err := os.RemoveAll(s.dir); err != nil {
		return err
	}
	return os.MkdirAll(s.dir, 0o750)
}

const schemaFile = "schema.json"

func newClusterID() string {
	b := make([]byte, 8)
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}
