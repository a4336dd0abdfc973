package console

import (
	"runtime/debug"
	"testing"

	"gotest.tools/v3/assert"
)

func TestVersionIsThatOfTheTag(t *testing.T) {
	built := func(version string) *debug.BuildInfo { return &debug.BuildInfo{Main: debug.Module{Version: version}} }
	for _, c := range []struct {
		set  string
		info *debug.BuildInfo
		want string
	}{
		{"0.1.0", built("(devel)"), "0.1.0"}, // a release's archive
		{"v0.1.0", built("(devel)"), "0.1.0"},
		{"v0.1.0-3-ge78faf6-dirty", built("v9.9.9"), "0.1.0-3-ge78faf6-dirty"}, // make build
		{"e78faf6", built("(devel)"), "e78faf6"},                               // without any tag
		{"", built("v0.1.0"), "0.1.0"},                                         // go install ...@v0.1.0
		{"", built("v0.0.0-20261130120000-e78faf6e78fa+dirty"), "0.0.0-20261130120000-e78faf6e78fa+dirty"},
		{"", built("(devel)"), "(devel)"}, // go build -buildvcs=false
		{"", built(""), "(devel)"},
		{"", nil, "(devel)"},
	} {
		assert.Equal(t, versionOf(c.set, c.info), c.want, "set %q, built %+v", c.set, c.info)
	}
}
