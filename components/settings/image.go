package settings

import (
	"errors"

	"github.com/emqx-oci/emqx-oci/components/cluster"
)

// validateImage refuses what cannot form a cluster.
func (s *Settings) validateImage(f checker) {
	if f.hasAbove("broker.image") {
		return
	}
	switch err := cluster.CheckBrokerImage(s.Broker.Image, s.Nodes.Count, s.Secrets.License != ""); {
	case errors.Is(err, cluster.ErrNeedsLicense):
		f.Add("broker.image", "%v, or set one with: %s", err, howToSet("secrets.license"))
	case err != nil:
		f.Add("broker.image", "%v", err)
	}
}
