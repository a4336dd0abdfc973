package haproxy

import (
	"regexp"
	"strings"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/fault"
)

// Items of the job's Nomad variable: who may see HAProxy's statistics.
const (
	ItemStatsUser     = "stats_user"
	ItemStatsPassword = "stats_password"
)

// CheckSecrets finds values that the job could not hand over unchanged, and missing
// ones. Its error holds no value.
func CheckSecrets(items map[string]string) error {
	var f fault.List
	if user := items[ItemStatsUser]; user == "" || strings.Contains(user, ":") || !ascii.MatchString(user) {
		f.Add(ItemStatsUser, "must be printable ASCII without spaces, and hold no colon: HTTP ends the user's name there")
	}
	if what := cluster.PasswordFault(items[ItemStatsPassword]); what != "" {
		f.Add(ItemStatsPassword, "%s", what)
	}
	return f.Err()
}

var ascii = regexp.MustCompile(cluster.PasswordPattern)
