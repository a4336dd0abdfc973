package machine

import (
	"os"
	"path/filepath"
	"testing"

	"gotest.tools/v3/assert"
)

func TestTheFolderIsForItsUserAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "lab")
	assert.NilError(t, OwnFolder(dir))
	assert.NilError(t, os.Chmod(dir, 0o755)) // as an older lab made it
	assert.NilError(t, OwnFolder(dir))
	st, err := os.Stat(dir)
	assert.NilError(t, err)
	assert.Equal(t, st.Mode().Perm(), os.FileMode(0o700))

	link := dir + "-link"
	assert.NilError(t, os.Symlink(dir, link))
	assert.ErrorContains(t, OwnFolder(link), "must be a folder, not a link to one")
	if os.Geteuid() == 0 { // nobody else may give a folder away
		assert.NilError(t, os.Chown(dir, 65534, 65534))
		assert.ErrorContains(t, OwnFolder(dir), "must belong to user 0, who runs the lab, and belongs to user 65534")
	}
}
