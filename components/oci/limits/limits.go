package limits

import (
	"regexp"
	"strings"
)

const (
	// MaxIdleTimeout is the longest idle timeout that this project asks of a network load
	// balancer, in seconds. Oracle's documents show 1200 and name no upper limit; the
	// value is a cautious one.
	MaxIdleTimeout = 1800

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
