package operate

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"gotest.tools/v3/assert"
)

// settings are as EMQX 5.8.9 prints them into an export.
const settings = `# This file is generated. Do not edit.
actions {}
authentication = []
listeners {
  ssl {
    default {
      access_rules = [
        "allow all"
      ]
      bind = "10.80.1.10:21427"
      ssl_options {
        certfile = """~
          -----BEGIN CERTIFICATE-----
          } listeners {
          -----END CERTIFICATE-----~"""
      }
    }
  }
}
log {
  console {level = "warn # }"}
}
mqtt {max_inflight = 7}
`

func TestABackupsListenersAreLeftOut(t *testing.T) {
	kept, dropped, err := dropListeners(settings)
	assert.NilError(t, err)
	assert.Assert(t, dropped)
	before, _, _ := strings.Cut(settings, "listeners {")
	_, after, _ := strings.Cut(settings, "\n}\n")
	assert.Equal(t, kept, before+after)
	for text, want := range map[string]string{
		`a = 1, listeners.tcp.default.bind = 1883, b = 2`: ` b = 2`,
		`"listeners" { tcp {} }`:                          ``,
		"listeners.tcp.x.bind=1\nlisteners : {}\nz=1":     "z=1",
		`x = "listeners { \" }", y = 1`:                   `x = "listeners { \" }", y = 1`,
		"// listeners {\nx = 1":                           "// listeners {\nx = 1",
		"my_listeners = 1\nlistenersx {}\n":               "my_listeners = 1\nlistenersx {}\n",
	} {
		kept, _, err := dropListeners(text)
		assert.NilError(t, err)
		assert.Equal(t, strings.TrimPrefix(kept, "a = 1,"), want, text)
	}
	for _, torn := range []string{"listeners { tcp {", "x = \"", "x }", `x = """ "`} {
		_, _, err := dropListeners(torn)
		assert.Assert(t, err != nil, torn)
	}
}

// What is imported is the same archive, without its listeners; one that has none goes as
// it is.
func TestTheImportedArchive(t *testing.T) {
	meta := [2]string{"emqx-export-1/META.hocon", goodMeta}
	table := [2]string{"emqx-export-1/mnesia/emqx_app", "rows"}
	for name, hocon := range map[string]string{"with listeners": settings, "with none": "mqtt {max_inflight = 7}\n", "empty": ""} {
		t.Run(name, func(t *testing.T) {
			file := bytes.NewReader(tarOf(t, [][2]string{meta, {"emqx-export-1/cluster.hocon", hocon}, table}))
			b, err := ReadBackup(file)
			assert.NilError(t, err)
			got, sent, remove, err := withoutListeners(file, b)
			assert.NilError(t, err)
			defer remove()
			if name != "with listeners" {
				assert.Equal(t, got, RestoreFile(file))
				assert.DeepEqual(t, sent, b)
				return
			}
			assert.Equal(t, sent.Name, b.Name)
			assert.DeepEqual(t, sent.Tables, b.Tables)
			assert.Assert(t, sent.SHA256 != b.SHA256)
			_, err = got.Seek(0, io.SeekStart)
			assert.NilError(t, err)
			again, err := ReadBackup(got)
			assert.NilError(t, err)
			assert.DeepEqual(t, again, sent)
		})
	}
}
