package haproxy

import (
	"regexp"
	"strings"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/fault"
)

// Items of the job's Nomad variable.
const (
	// Who may see HAProxy's statistics.
	ItemStatsUser     = "stats_user"
	ItemStatsPassword = "stats_password"
	// ItemTerminate is where TLS ends, "proxy" or "broker", and what the next three
	// belong to; without it there is no TLS. The next two are not there where the certificate
	// comes from outside the stack.
	ItemTerminate   = "tls_terminate"
	ItemCertificate = "tls_certificate"
	ItemPrivateKey  = "tls_private_key"
	// ItemFurther are the certificates that clients get by their names, each with its key
	// behind a line [furtherMark], by which the script that runs HAProxy tells them apart.
	ItemFurther = "tls_further"
	// ItemTicketKeys are those of session tickets.
	ItemTicketKeys = "tls_ticket_keys"
	// ItemClients is whether clients show a certificate: "none" counts from when it stands there.
	ItemClients = "tls_clients"
	// ItemClientCA are the authorities of clients' certificates, ItemClientCRL lists of
	// those that were revoked.
	ItemClientCA  = "tls_client_ca"
	ItemClientCRL = "tls_client_crl"
)

// ItemMembers are the addresses of the nodes, by their index, with spaces between: to them
// alone clients are passed on.
const ItemMembers = "members"

// itemBroker is where EMQX listens for one listener, "broker_mqtt".
func itemBroker(listener string) string { return "broker_" + listener }

const furtherMark = "# certificate"

// CheckSecrets finds values that the job could not hand over unchanged, and missing
// ones. outside says that a certificate is not among them. Its error holds no value.
func CheckSecrets(items map[string]string, outside bool) error {
	var f fault.List
	if user := items[ItemStatsUser]; user == "" || strings.Contains(user, ":") || !ascii.MatchString(user) {
		f.Add(ItemStatsUser, "must be printable ASCII without spaces, and hold no colon: HTTP ends the user's name there")
	}
	if what := cluster.PasswordFault(items[ItemStatsPassword]); what != "" {
		f.Add(ItemStatsPassword, "%s", what)
	}
	if items[ItemTerminate] != "" && !outside {
		f.Require(ItemCertificate, items[ItemCertificate])
		f.Require(ItemPrivateKey, items[ItemPrivateKey])
	}
	return f.Err()
}

var ascii = regexp.MustCompile(cluster.PasswordPattern)
