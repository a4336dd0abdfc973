package consul

import (
	"testing"

	"github.com/emqx-oci/emqx-oci/lab/providers/internal/official"
	"github.com/emqx-oci/emqx-oci/lab/providers/table"
)

func TestTableMatchesTheOfficialSchema(t *testing.T) {
	official.Compare(t, "consul-3.11.3", table.MustParse(rows))
}
