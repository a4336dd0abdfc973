package settings

import (
	"strings"
	"sync"

	"github.com/emqx-oci/emqx-oci/components/fault"
	"github.com/emqx-oci/emqx-oci/internal/structconfig"
)

// Spec is what the tags of [Settings] say, with the defaults.
func Spec() *structconfig.Spec { return spec() }

var spec = sync.OnceValue(func() *structconfig.Spec {
	return structconfig.Describe(defaults(), structconfig.Options{Format: format, Placeholder: placeholder, Moved: moved})
})

// moved are settings that have another place.
var moved = map[string]string{"broker.perClient": "broker.limits"}

// checker collects what is wrong with how settings fit together.
type checker struct{ *fault.List }

// hasAbove tells whether a path, or a group that holds it, has a fault.
func (c checker) hasAbove(path string) bool { return structconfig.HasAbove(c.List, path) }

// checkEncrypted refuses secrets that lie in the stack file in clear. Pulumi
// tells a program only whether a group holds any encrypted value; offline a
// placeholder stands for each, so what is none is in clear.
func (c checker) checkEncrypted(s *Settings, from Source) {
	spec().EachText(s, func(path string, f *structconfig.Field, text string) {
		if !f.Secret {
			return
		}
		group, _, _ := strings.Cut(path, ".")
		if !from.IsSecret(Project+":"+group) || from.Offline && text != placeholder {
			c.Add(path, "must not be kept in clear; set it with: %s", howToSet(path))
		}
	})
}
