package limits

import "strings"

// IsLabel tells whether a property of a resource, by its path in a plan, is a name, a tag or a description,
// which OCI keeps for people: nothing runs by it.
func IsLabel(path string) bool {
	for _, p := range []string{"displayName", "freeformTags", "definedTags", "description"} {
		if path == p || strings.HasPrefix(path, p+".") || strings.HasPrefix(path, p+"[") {
			return true
		}
	}
	return false
}
