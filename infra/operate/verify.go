package operate

import (
	"context"

	"github.com/emqx-oci/emqx-oci/infra/gates"
)

// Verify asks the gates at the end of an update, as patiently as there, and returns
// the first one that does not hold. report gets their progress.
func (c *Cluster) Verify(ctx context.Context, report func(string)) error {
	for _, g := range c.Verification {
		if err := gates.Wait(ctx, c.Clock, g, report); err != nil {
			return err
		}
	}
	return nil
}
