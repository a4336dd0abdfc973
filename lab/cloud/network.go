package cloud

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"sync"
	"time"
)

// pushed is what the machine was last told about the network. Its lock is held
// while the machine works, so that an older picture never replaces a newer one.
type pushed struct {
	mu        sync.Mutex
	firewalls map[string]Firewall
	balancers []Balancer
	records   []Record
	told      bool // balancers and records were told at least once
}

// push tells the machine what changed for firewalls, balancers and the zone
// since it was last told.
func (c *Cloud) push(ctx context.Context) error {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	var firewalls map[string]Firewall
	var balancers []Balancer
	var records []Record
	c.read(func(s *state) { firewalls, balancers, records = s.firewalls(), s.balancers(), s.records() })

	var errs []error
	if c.net.firewalls == nil {
		c.net.firewalls = map[string]Firewall{}
	}
	for id := range c.net.firewalls {
		if _, ok := firewalls[id]; !ok {
			delete(c.net.firewalls, id)
		}
	}
	for id, f := range firewalls {
		if was, ok := c.net.firewalls[id]; ok && reflect.DeepEqual(was, f) {
			continue
		}
		if err := c.machine.SetFirewall(ctx, id, f); err != nil {
			if !c.machine.InstanceAlive(id) {
				continue // it just died; its pool sees to it
			}
			errs = append(errs, fmt.Errorf("setting the firewall of instance %s: %w", id, err))
			continue
		}
		c.net.firewalls[id] = f
	}
	if !c.net.told || !reflect.DeepEqual(c.net.balancers, balancers) {
		if err := c.machine.SetBalancers(ctx, balancers); err != nil {
			errs = append(errs, fmt.Errorf("setting the balancers: %w", err))
		} else {
			c.net.balancers = balancers
		}
	}
	if !c.net.told || !reflect.DeepEqual(c.net.records, records) {
		if err := c.machine.SetZone(ctx, records); err != nil {
			errs = append(errs, fmt.Errorf("setting the records of zone %s: %w", ZoneName, err))
		} else {
			c.net.records = records
		}
	}
	c.net.told = len(errs) == 0
	if len(errs) > 0 {
		c.poke() // Run tries again
	}
	return errors.Join(errs...)
}

// forget makes the next push tell everything again.
func (c *Cloud) forget() {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	c.net.firewalls, c.net.told = nil, false
}

// firewalls of the instances that run.
func (s *state) firewalls() map[string]Firewall {
	out := map[string]Firewall{}
	for _, i := range s.instances() {
		if i.State != running {
			continue
		}
		ingress, egress := s.rules(i.Groups)
		out[i.ID] = Firewall{Addresses: s.addresses(i), Ingress: ingress, Egress: egress}
	}
	return out
}

// balancers as the gateway is to serve them.
func (s *state) balancers() []Balancer {
	out := []Balancer{}
	for _, r := range s.of(typeBalancer) {
		if r.State != active {
			continue
		}
		b := Balancer{ID: r.ID, Private: netip.MustParseAddr(r.Address)}
		if r.Public != "" {
			b.Public = netip.MustParseAddr(r.Public)
		}
		b.Ingress, _ = s.rules(strs(r.In, "networkSecurityGroupIds"))
		for _, l := range s.of(typeListener) {
			if parentOf(l) != r.ID || l.State != active {
				continue
			}
			set, ok := s.child(typeBackendSet, r.ID, "", str(l.In, "defaultBackendSetName"))
			if !ok {
				continue
			}
			backends := s.eligible(set)
			b.Listeners = append(b.Listeners, Listener{
				Name: childName(l), Port: wholeOr(l.In, "port", 0),
				IdleTimeout:    time.Duration(wholeOr(l.In, "tcpIdleTimeout", defaultIdleSeconds)) * time.Second,
				PreserveSource: flag(set.In, "isPreserveSource", true), Backends: backends,
				Reset: s.toReset(set, backends),
			})
		}
		out = append(out, b)
	}
	return append(out, s.flexible()...)
}
