package nomad

import (
	"testing"

	"github.com/emqx-oci/emqx-oci/lab/providers/internal/official"
	"github.com/emqx-oci/emqx-oci/lab/providers/table"
)

func TestTableMatchesTheOfficialSchema(t *testing.T) {
	official.Compare(t, "nomad-2.6.1", table.MustParse(rows))
}
