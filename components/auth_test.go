package components

import (
	"testing"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/nomad"
	"github.com/emqx-oci/emqx-oci/infra/gates"
)

// Which subscriptions EMQX lets a client make, as emqx_authz_rule and emqx_topic:match of 5.8.9 have it.
func TestWhatAClientMayHold(t *testing.T) {
	a := &nomad.Auth{
		Users: []nomad.User{{Name: "ann"}, {Name: "root", Superuser: true}},
		Rules: []nomad.Rule{
			{Action: "subscribe", User: "eve", Topics: nil},
			{Action: "all", Address: "10.9.0.0/16", Topics: []string{"secret/#"}},
			{Allow: true, Action: "publish", Topics: []string{"only/published"}},
			{Allow: true, Action: "all", Topics: []string{"devices/${username}/#", "net/+", "eq raw/+"}},
			{Allow: true, Action: "subscribe", ClientID: "c1", Topics: []string{"secret/x", "$SYS/+"}},
			{Allow: true, Action: "subscribe", User: "bob", Topics: []string{"#"}},
		},
	}
	for _, c := range []struct {
		user, id, address, filter string
		want                      bool
	}{
		{"ann", "c", "10.1.0.1", "devices/ann/x", true},
		{"ann", "c", "10.1.0.1", "devices/ann", true}, // # is the level above it too
		{"ann", "c", "10.1.0.1", "devices/ann/#", true},
		{"ann", "c", "10.1.0.1", "devices/+/x", false},
		{"ann", "c", "10.1.0.1", "devices/bob/x", false},
		{"", "c", "10.1.0.1", "devices//x", false}, // a placeholder is never nothing
		{"ann", "c", "10.1.0.1", "$share/g/devices/ann/x", true},
		{"ann", "c", "10.1.0.1", "$queue/devices/ann/x", true},
		{"ann", "c", "10.1.0.1", "$share/g/devices/bob/x", false},
		{"ann", "c", "10.1.0.1", "net/a", true},
		{"ann", "c", "10.1.0.1", "net/#", true}, // of a filter it is a word
		{"ann", "c", "10.1.0.1", "net/a/b", false},
		{"ann", "c", "10.1.0.1", "raw/+", true},
		{"ann", "c", "10.1.0.1", "raw/x", false},
		{"ann", "c", "10.1.0.1", "only/published", false},
		{"eve", "c", "10.1.0.1", "devices/eve/x", false},
		{"ann", "c1", "10.1.0.1", "secret/x", true},
		{"ann", "c1", "10.9.0.1", "secret/x", false}, // the first that matches
		{"ann", "c1", "::ffff:10.9.0.1", "secret/x", false},
		{"ann", "c1", "10.1.0.1", "$SYS/x", true},
		{"bob", "c", "10.1.0.1", "any/thing", true},
		{"bob", "c", "10.1.0.1", "$SYS/x", false}, // no wildcard is for these
		{"root", "c", "10.1.0.1", "$SYS/#", true},
		{"eve", "c1", "10.1.0.1", "secret/x", false},
	} {
		got := mayHold(a, gates.Client{ID: c.id, Username: c.user, Address: c.address}, c.filter)
		assert.Check(t, got == c.want, "%+v", c)
	}
}
