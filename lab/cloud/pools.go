package cloud

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// launchRetry is how long the controller leaves an instance alone whose launch failed.
const launchRetry = 5 * time.Second

const poolNoun = "instancepool"

// faultDomains of each availability domain.
var faultDomains = []string{"FAULT-DOMAIN-1", "FAULT-DOMAIN-2", "FAULT-DOMAIN-3"}

var poolKind = kind{
	noun: poolNoun, starting: provisioning, ready: running, changing: scaling,
	check: func(s *state, _ string, in, old Props) error {
		if err := need(in, "compartmentId", "instanceConfigurationId"); err != nil {
			return err
		}
		cfg := str(in, "instanceConfigurationId")
		if _, ok := s.get(typeConfiguration, cfg); !ok {
			return notFound(cfg)
		}
		if _, present, err := whole(in, "size"); err != nil {
			return err
		} else if !present {
			return &Error{400, "MissingParameter", "size is required"}
		}
		if err := within(in, "size", 0, 50); err != nil {
			return err
		}
		if len(subs(in, "loadBalancers")) > 0 {
			return &Error{501, "NotImplemented", "the lab's pools attach to no flexible load balancer"}
		}
		placements := subs(in, "placementConfigurations")
		if len(placements) == 0 {
			return &Error{400, "MissingParameter", "placementConfigurations needs at least one entry"}
		}
		for _, p := range placements {
			if ad := str(p, "availabilityDomain"); !knownAD(ad) {
				return invalid("availabilityDomain %q does not exist", ad)
			}
			for _, d := range strs(p, "faultDomains") {
				if !slices.Contains(faultDomains, d) {
					return invalid("faultDomain %q does not exist", d)
				}
			}
			id := placementSubnet(p)
			if id == "" {
				r, _ := s.get(typeConfiguration, cfg)
				id = str(sub(sub(sub(r.In, "instanceDetails"), "launchDetails"), "createVnicDetails"), "subnetId")
			}
			if _, ok := findSubnet(id); !ok {
				return notFound("subnet " + id)
			}
		}
		return nil
	},
	realize: func(ctx context.Context, c *Cloud, id string) error {
		unlock, err := c.lockPool(ctx, id)
		if err != nil {
			return err
		}
		defer unlock()
		return c.reconcile(ctx, id, true)
	},
	dismantle: func(ctx context.Context, c *Cloud, id string) error {
		unlock, err := c.lockPool(ctx, id)
		if err != nil {
			return err
		}
		defer unlock()
		return c.reconcile(ctx, id, true)
	},
	view: func(s *state, r *resource) Props {
		actual := 0
		for _, i := range s.Instances {
			if i.Pool == r.ID && i.live() {
				actual++
			}
		}
		return Props{
			"id": r.ID, "compartmentId": str(r.In, "compartmentId"), "displayName": nameOf(r),
			"instanceConfigurationId": str(r.In, "instanceConfigurationId"), "size": wholeOr(r.In, "size", 0), "actualSize": actual,
			"instanceDisplayNameFormatter": str(r.In, "instanceDisplayNameFormatter"),
			"instanceHostnameFormatter":    str(r.In, "instanceHostnameFormatter"),
			"placementConfigurations":      orEmptyList(list(r.In, "placementConfigurations")), "loadBalancers": []any{},
			"definedTags": orEmptyMap(sub(r.In, "definedTags")), "freeformTags": orEmptyMap(sub(r.In, "freeformTags")),
			"state": r.State, "timeCreated": stamp(r.Created),
		}
	},
}

func placementSubnet(p Props) string {
	if id := str(sub(p, "primaryVnicSubnets"), "subnetId"); id != "" {
		return id
	}
	return str(p, "primarySubnetId")
}

// lockPool makes one thing at a time happen to a pool: a request or the controller.
func (c *Cloud) lockPool(ctx context.Context, id string) (unlock func(), err error) {
	lock := c.poolLock(id)
	select {
	case lock <- struct{}{}:
		return func() { <-lock }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for instance pool %s: %w", id, ctx.Err())
	}
}

func (c *Cloud) poolLock(id string) chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pools[id] == nil {
		c.pools[id] = make(chan struct{}, 1)
	}
	return c.pools[id]
}

// reconcile brings a pool to its size: ends what is dead or too much, launches
// what is missing. The caller holds the pool's lock. A request (asked) tries a
// failed launch again at once, the controller only after a while.
func (c *Cloud) reconcile(ctx context.Context, poolID string, asked bool) error {
	var suspects, ending []string
	c.read(func(s *state) {
		for _, i := range s.instances() {
			if i.Pool == poolID && i.State == running {
				suspects = append(suspects, i.ID)
			}
		}
	})
	dead := map[string]bool{}
	for _, id := range suspects {
		dead[id] = !c.machine.InstanceAlive(id)
	}
	changed := false
	err := c.change(func(s *state) error {
		size := s.poolSize(poolID)
		var live []*instance
		for _, i := range s.instances() {
			if i.Pool != poolID {
				continue
			}
			// In a lost domain: it was being launched when that was lost.
			if i.State == running && (dead[i.ID] || c.lost[i.AD]) {
				i.State, i.Reason = terminating, "its machine died"
				c.logf("instance %s (%s) died; its pool launches another", i.Name, i.Address)
			}
			if i.live() {
				live = append(live, i)
			}
		}
		for _, i := range live[:max(0, len(live)-size)] { // OCI ends the oldest first
			i.State, i.Reason = terminating, "its pool is to be smaller"
		}
		for _, i := range s.instances() {
			if i.Pool == poolID && i.State == terminating {
				ending = append(ending, i.ID)
			}
		}
		changed = len(ending) > 0
		if !changed {
			return errNothing
		}
		return nil
	})
	if err != nil && !errors.Is(err, errNothing) {
		return err
	}
	// What has ended is gone before anything new starts: a new instance may have
	// the same name and wants the same volume.
	if err := c.each(ending, func(id string) error { return c.end(ctx, id) }); err != nil {
		return err
	}
	launching, err := c.plan(poolID, asked)
	if err != nil {
		return err
	}
	if len(launching) == 0 && !changed {
		return nil
	}
	return errors.Join(c.each(launching, func(id string) error { return c.launch(ctx, id) }), c.push(ctx))
}

// errNothing leaves change without writing.
var errNothing = errors.New("nothing to change")

// plan records the instances that are missing and returns all that are to be launched.
func (c *Cloud) plan(poolID string, asked bool) (ids []string, err error) {
	err = c.change(func(s *state) error {
		size, count := s.poolSize(poolID), 0
		for _, i := range s.instances() {
			if i.Pool != poolID || !i.live() {
				continue
			}
			count++
			if i.State == provisioning && (asked || !c.clock.Now().Before(c.retryAt[i.ID])) {
				ids = append(ids, i.ID)
			}
		}
		if count >= size {
			return errNothing
		}
		for ; count < size; count++ {
			i, err := s.newInstance(s.Resources[poolID], c.clock.Now().UTC())
			if err != nil {
				return err
			}
			s.Instances[i.ID] = i
			ids = append(ids, i.ID)
		}
		return nil
	})
	if errors.Is(err, errNothing) {
		err = nil
	}
	return ids, err
}

func (s *state) poolSize(id string) int {
	r, ok := s.Resources[id]
	if !ok || r.State == terminating {
		return 0
	}
	return wholeOr(r.In, "size", 0)
}

// complete tells whether a pool has all its instances, running.
func (s *state) complete(id string) bool {
	count := 0
	for _, i := range s.Instances {
		if i.Pool == id && i.State == running {
			count++
		}
	}
	return count == s.poolSize(id)
}

// each runs f for all ids at once and collects the errors.
func (c *Cloud) each(ids []string, f func(id string) error) error {
	errs := make([]error, len(ids))
	var wg sync.WaitGroup
	for n, id := range ids {
		wg.Go(func() { errs[n] = f(id) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// newInstance is the record of an instance that a pool is about to launch.
func (s *state) newInstance(pool *resource, now time.Time) (*instance, error) {
	cfg, ok := s.Resources[str(pool.In, "instanceConfigurationId")]
	if !ok {
		return nil, notFound(str(pool.In, "instanceConfigurationId"))
	}
	launch := sub(sub(cfg.In, "instanceDetails"), "launchDetails")
	vnic := sub(launch, "createVnicDetails")
	if err := checkGroups(s, strs(vnic, "nsgIds")); err != nil {
		return nil, err
	}
	place := s.leastUsed(pool)
	subnetID := placementSubnet(place)
	if subnetID == "" {
		subnetID = str(vnic, "subnetId")
	}
	net, ok := findSubnet(subnetID)
	if !ok {
		return nil, notFound(subnetID)
	}
	address, ok := s.nextPrimary(net.prefix)
	if !ok {
		return nil, &Error{400, "LimitExceeded", "subnet " + net.name + " has no free address left"}
	}
	pool.Launches++
	count := strconv.Itoa(pool.Launches)
	name := strings.ReplaceAll(str(pool.In, "instanceDisplayNameFormatter"), "${launchCount}", count)
	if name == "" {
		// The configuration's own displayName is ignored, as OCI does for pools.
		name = "inst-" + randomSuffix(5) + "-" + nameOf(pool)
	}
	hostname := strings.ReplaceAll(str(pool.In, "instanceHostnameFormatter"), "${launchCount}", count)
	if hostname == "" {
		hostname = strings.ToLower(name)
	}
	seq := s.next()
	domain := faultDomains[seq%len(faultDomains)]
	if wanted := strs(place, "faultDomains"); len(wanted) > 0 {
		domain = wanted[0]
	}
	a4 := address.As4()
	shape := sub(launch, "shapeConfig")
	ocpus, _ := shape["ocpus"].(float64)
	memory, _ := shape["memoryInGbs"].(float64)
	tags := tagsOf(launch, "freeformTags")
	return &instance{
		ID: newOCID("instance"), Name: name, Hostname: hostname, Pool: pool.ID, Config: cfg.ID,
		AD: str(place, "availabilityDomain"), FaultDomain: domain, Subnet: subnetID, Address: address.String(),
		VNIC: newOCID("vnic"), PrivateIP: newOCID("privateip"), VNICName: strOr(vnic, "displayName", name),
		MAC:   fmt.Sprintf("02:00:17:%02X:%02X:%02X", a4[1], a4[2], a4[3]),
		Shape: str(launch, "shape"), Image: str(sub(launch, "sourceDetails"), "imageId"), OCPUs: ocpus, MemoryGB: memory,
		Groups: strs(vnic, "nsgIds"), Tags: tags, VNICTags: merge(tags, tagsOf(vnic, "freeformTags")),
		Metadata: tagsOf(launch, "metadata"), ExtendedMetadata: sub(launch, "extendedMetadata"),
		LegacyMetadata: !flag(sub(launch, "instanceOptions"), "areLegacyImdsEndpointsDisabled", false),
		Defined:        sub(launch, "definedTags"), VNICsDefined: sub(vnic, "definedTags"),
		State: provisioning, Seq: seq, Created: now,
	}, nil
}

// leastUsed spreads a pool's instances evenly over its placement configurations.
func (s *state) leastUsed(pool *resource) Props {
	used := map[string]int{}
	for _, i := range s.Instances {
		if i.Pool == pool.ID && i.live() {
			used[i.AD]++
		}
	}
	var best Props
	for _, p := range subs(pool.In, "placementConfigurations") {
		if best == nil || used[str(p, "availabilityDomain")] < used[str(best, "availabilityDomain")] {
			best = p
		}
	}
	return best
}
