package gates

import (
	"context"
	"time"
)

// ProxiesReadyArgs describe gate G3.
type ProxiesReadyArgs struct {
	// Service is the Consul service, default "emqx-haproxy"; Environment its tag.
	Service, Environment string
	// Count is the number of instances that must pass: one per node.
	Count int
	// Timeout and Interval default to [DefaultTimeout] and [DefaultInterval].
	Timeout, Interval time.Duration
}

// ProxiesReady is gate G3: Count instances of HAProxy pass their health check,
// which itself fails when no EMQX backend is up.
func ProxiesReady(client ConsulClient, args ProxiesReadyArgs) Gate {
	return Gate{
		ID: "G3", Title: "proxies ready", Timeout: args.Timeout, Interval: args.Interval,
		Check: func(ctx context.Context) (Status, error) { panic("soon") },
	}
}
