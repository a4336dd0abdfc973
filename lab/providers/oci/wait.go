package oci

import (
	"context"
	"time"

	"github.com/emqx-oci/emqx-oci/lab/cloud"
)

// waiting is how the official provider hears that a change is made.
type waiting int

const (
	answered  waiting = iota // by the call's own answer
	byState                  // it reads the lifecycle state, with pauses that double
	byRequest                // it reads the work request, with random pauses that grow
)

// waits are the kinds whose changes go on after the call was answered
// (oracle/terraform-provider-oci, internal/service/core and network_load_balancer).
var waits = map[string]waiting{
	"oci:Core/volume:Volume":                                          byState,
	"oci:Core/instancePool:InstancePool":                              byState,
	"oci:Core/networkSecurityGroup:NetworkSecurityGroup":              byState,
	"oci:NetworkLoadBalancer/networkLoadBalancer:NetworkLoadBalancer": byRequest,
	backendSet: byRequest,
	"oci:NetworkLoadBalancer/networkLoadBalancersBackendSetsUnified:NetworkLoadBalancersBackendSetsUnified": byRequest,
	"oci:NetworkLoadBalancer/backend:Backend":   byRequest,
	"oci:NetworkLoadBalancer/listener:Listener": byRequest,
	// By their work requests' state, with the pauses of any state (internal/service/load_balancer).
	"oci:LoadBalancer/loadBalancer:LoadBalancer": byState,
	flexSet:                                          byState,
	"oci:LoadBalancer/backend:Backend":               byState,
	"oci:LoadBalancer/listener:Listener":             byState,
	"oci:LoadBalancer/certificate:Certificate":       byState,
	"oci:LoadBalancer/sslCipherSuite:SslCipherSuite": byState,
}

// Pauses of the official provider between two looks at a lifecycle state
// (terraform-plugin-sdk/v2, helper/retry/state.go).
const (
	firstLook   = 100 * time.Millisecond
	longestLook = 10 * time.Second
)

// poller makes a call last until the official provider had seen that it is done: it
// looks now and then, and the next look may be long after the end. A change of 3 s of a
// balancer takes 3 to 9 s.
type poller struct {
	pace  float64 // part of OCI's time that the backend takes; 0: none, and no wait
	sleep func(context.Context, time.Duration) error
	now   func() time.Time
}

func newPoller(pace float64) poller { return poller{pace, cloud.Sleep, time.Now} }

// until runs call, which returns when the change is made, and returns at the first look
// after that. A failure is said at once: most are the call's own answer.
func (p poller) until(ctx context.Context, token string, call func() error) error {
	start := p.now()
	err := call()
	if err != nil || p.pace <= 0 {
		return err
	}
	took := p.now().Sub(start)
	if rest := scaled(seen(waits[token], time.Duration(float64(took)/p.pace)), p.pace) - took; rest > 0 {
		return p.sleep(ctx, rest)
	}
	return nil
}

// seen is when the first look at a change comes that takes so long.
func seen(how waiting, long time.Duration) time.Duration {
	at, pause := time.Duration(0), firstLook
	for looks := 1; how != answered && at < long; looks++ {
		if how == byRequest {
			at += pauseAfter(looks)
			continue
		}
		at += pause
		pause = min(2*pause, longestLook)
	}
	return max(at, long)
}
