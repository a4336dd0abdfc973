package operate

import (
	"context"

	"github.com/emqx-oci/emqx-oci/infra/gates"
)

// VerifyOptions are the choices of a check.
type VerifyOptions struct {
	// Listener asks for the round trip through this one alone: "mqtts". Empty asks all
	// gates at the end of an update.
	Listener string
	// Report gets the gates' progress, line by line; it may be nil.
	Report func(string)
}

// Verify asks the gates at the end of an update, as patiently as there, and returns
// the first one that does not hold. The parts are what each listener answered to the
// round trip last; none when an earlier gate does not hold.
func (c *Cluster) Verify(ctx context.Context, o VerifyOptions) ([]gates.Part, error) {
	asked := c.Verification
	if o.Listener != "" {
		one, err := c.RoundTrip.Through(o.Listener)
		if err != nil {
			return nil, err
		}
		asked = []gates.Gate{gates.RoundTrip(one)}
	}
	var parts []gates.Part
	for _, g := range asked {
		check := g.Check
		g.Check = func(ctx context.Context) (gates.Status, error) {
			s, err := check(ctx)
			if err == nil || parts == nil { // one that was cut off knows less than the one before
				parts = s.Parts
			}
			return s, err
		}
		if err := gates.Wait(ctx, c.Clock, g, o.Report); err != nil {
			return parts, err
		}
	}
	return parts, nil
}
