package limits

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

const (
	// MaxIdleTimeout is the longest idle timeout that this project asks of a network load
	// balancer, in seconds. Oracle's documents show 1200 and name no upper limit; the
	// value is a cautious one.
	MaxIdleTimeout = 1800

	// MinMbps and MaxMbps bound the bandwidth of a load balancer of flexible shape (API,
	// ShapeDetails).
	MinMbps = 10
	// MaxMbps is the most.
	MaxMbps = 8000

	// MinVolumeGB is the least size of a data or boot volume (API, CreateVolumeDetails).
	MinVolumeGB = 50
	// MaxVolumeGB is the most.
	MaxVolumeGB = 32768

	// MaxMetadata is the bound on all metadata of an instance together, encoded, in bytes
	// (API, LaunchInstanceDetails.metadata: "must be less than 32,000 bytes").
	MaxMetadata = 32000

	// MaxTTL is the longest time to live of a DNS record, in seconds: a week (API,
	// RecordDetails).
	MaxTTL = 604800

	// MaxGroups is how many network security groups a VNIC or a balancer is in at most (OCI's
	// documents, "Network Security Groups", "Limits").
	MaxGroups = 5

	// TagPattern is the key of a free-form tag: printable ASCII without dots and spaces
	// (OCI's documents, "Tagging overview").
	TagPattern = `^[!-\-/-~]{1,100}$`
)

// OCIDPattern matches the ids of things of some kinds:
// ocid1.<kind>.<realm>.[region][.future use].<unique id>.
func OCIDPattern(kinds ...string) string {
	return `^ocid1\.(` + strings.Join(kinds, "|") + `)\.[a-z0-9-]+\.[a-z0-9-]*\.[A-Za-z0-9._-]+$`
}

var vaultSecret = regexp.MustCompile(OCIDPattern("vaultsecret"))

// IsVaultSecret tells whether a text is the OCID of a Vault secret.
func IsVaultSecret(text string) bool { return vaultSecret.MatchString(text) }

// OCIDOf accepts the ids of things of some kinds, which allowed describes. It looks at the
// beginning alone.
func OCIDOf(kinds ...string) (allowed string, accepts func(string) bool) {
	return "an OCID that begins with ocid1." + kinds[0] + ".", func(id string) bool {
		return slices.ContainsFunc(kinds, func(kind string) bool { return strings.HasPrefix(id, "ocid1."+kind+".") })
	}
}

var tagKey = regexp.MustCompile(TagPattern)

// TagsFault is what is wrong with the free-form tags of a resource, "" for nothing: 10 of them, keys of 100 and
// values of 256 characters (OCI's documents, "Service limits", "Tagging limits").
func TagsFault(tags map[string]string) string {
	if len(tags) > 10 {
		return fmt.Sprintf("must hold at most 10 tags, the stack's own three with them, got %d", len(tags))
	}
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		if !tagKey.MatchString(key) {
			return fmt.Sprintf("must have keys of 1 to 100 printable characters without dots and spaces, got %q", key)
		}
		if len(tags[key]) > 256 {
			return fmt.Sprintf("must have values of at most 256 characters, got %d at %q", len(tags[key]), key)
		}
	}
	return ""
}
