package cli_test

import (
	"context"
	"fmt"

	"github.com/emqx-oci/emqx-oci/infra/orchestrate"
)

func (f *fake) Resources(context.Context) ([]orchestrate.Resource, error) {
	return f.held, f.fail["resources"]
}

// held are an address and two volumes: "retained", "protected", or "one" of them retained.
func held(all string) []orchestrate.Resource {
	list := []orchestrate.Resource{{Type: "oci:Core/privateIp:PrivateIp", Name: "addresses-0", ID: "ocid1.privateip.oc1..a"}}
	for i := range 2 {
		list = append(list, orchestrate.Resource{
			Type: "oci:Core/volume:Volume", Name: fmt.Sprintf("volumes-%d", 1-i), ID: fmt.Sprintf("ocid1.volume.oc1..%d", 1-i),
			Inputs:   map[string]any{"displayName": fmt.Sprintf("emqx-prod-%d", 1-i), "sizeInGbs": "150", "availabilityDomain": fmt.Sprintf("Uocm:AD-%d", 2-i)},
			Retained: all == "retained" || all == "one" && i == 0, Protected: all == "protected",
		})
	}
	return list
}
