package guest

import (
	"testing"

	"gotest.tools/v3/assert"
)

func TestUserDataIsBase64AndMayBeGzip(t *testing.T) {
	got, err := decodeUserData([]byte("IyEvYmluL3NoCg==\n"))
	assert.NilError(t, err)
	assert.Equal(t, string(got), "#!/bin/sh\n")
	_, err = decodeUserData([]byte("#!/bin/sh"))
	assert.ErrorContains(t, err, "decoding user data")
}
