package gates

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// reachableTimeout bounds the question whether a server answers at all.
const reachableTimeout = 3 * time.Second

// Server is an API that an update will need.
type Server struct {
	// Setting is where its address comes from: "emqx-oci:nomad.address".
	Setting string
	// Leader asks it for its leader: the shortest question that needs no token,
	// and one that a server without a quorum cannot answer.
	Leader func(context.Context) error
	// Part is a setting that names something that has to be there already, and Has
	// tells why it is not; optional.
	Part string
	Has  func(context.Context) error
}

// Reachable ends a preview in which a server does not answer, or lacks what the update
// needs there. The engine takes
// such a preview for a good one: it asks nothing of a server until it has to
// create something there. All servers are asked at once, for 3 s each, and all
// faults reported. In an update the gates wait for what they need.
func Reachable(ctx *pulumi.Context, servers ...Server) error {
	if !ctx.DryRun() {
		return nil
	}
	return reachableAll(ctx.Context(), reachableTimeout, servers)
}

func reachableAll(ctx context.Context, timeout time.Duration, servers []Server) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	faults := make([]error, len(servers))
	var all sync.WaitGroup
	for i, s := range servers {
		all.Go(func() {
			if err := s.Leader(ctx); err != nil {
				faults[i] = fmt.Errorf("%s: %w; the preview is blind there, and an update would fail: "+
					"mend the address, or open a way to it from here (VPN, tunnel, firewall)", s.Setting, err)
			} else if s.Has != nil {
				if err := s.Has(ctx); err != nil {
					faults[i] = fmt.Errorf("%s: %w", s.Part, err)
				}
			}
		})
	}
	all.Wait()
	return errors.Join(faults...)
}

// errNoLeader is a server that waits for the others.
var errNoLeader = errors.New("its servers have elected no leader")
