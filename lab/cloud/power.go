package cloud

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
)

// StopInstance switches a RUNNING instance off as its power button does. It stays
// STOPPED: a pool counts it and launches no other, its addresses and volumes stay
// with it. A stopped one is left as it is.
func (c *Cloud) StopInstance(ctx context.Context, id string) error {
	unlock, err := c.lockPool(ctx, c.poolOf(id))
	if err != nil {
		return err
	}
	defer unlock()
	err = c.change(func(s *state) error {
		i, ok := s.Instances[id]
		switch {
		case !ok:
			return notFound(id)
		case i.State == stopped:
			return errNothing
		case i.State != running:
			return incorrectState("Instance %s is %s, it must be RUNNING", id, i.State)
		}
		i.State = stopped
		delete(c.admitted, id)
		return nil
	})
	if errors.Is(err, errNothing) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := c.machine.PowerOff(ctx, id); err != nil {
		return fmt.Errorf("stopping instance %s: %w", id, err)
	}
	return c.push(ctx)
}

// StartInstance switches a STOPPED instance on again, with what was attached to
// it. It returns when its PID 1 runs; a running one is left as it is.
func (c *Cloud) StartInstance(ctx context.Context, id string) error {
	unlock, err := c.lockPool(ctx, c.poolOf(id))
	if err != nil {
		return err
	}
	defer unlock()
	var i instance
	var ties []string
	err = c.change(func(s *state) error {
		p, ok := s.Instances[id]
		switch {
		case !ok:
			return notFound(id)
		case p.State == running:
			return errNothing
		case p.State != stopped:
			return incorrectState("Instance %s is %s, it must be STOPPED", id, p.State)
		case c.lost[p.AD]:
			return noCapacity(p)
		}
		i = *p
		for _, a := range s.attachments() {
			if a.Instance == id && (a.State == attached || a.State == attaching) {
				ties = append(ties, a.ID)
			}
		}
		return errNothing
	})
	if err != nil && !errors.Is(err, errNothing) {
		return err
	}
	if i.ID == "" {
		return nil
	}
	if err := c.pause(ctx, LaunchInstance, OpCreate); err != nil {
		return fmt.Errorf("starting instance %s: %w", i.Name, err)
	}
	// Whatever it asks waits until it is admitted: its volumes are back by then.
	if err := c.machine.LaunchInstance(ctx, InstanceSpec{ID: i.ID, Name: i.Name, Address: netip.MustParseAddr(i.Address)}); err != nil {
		return fmt.Errorf("starting instance %s: %w", i.Name, err)
	}
	err = c.change(func(s *state) error {
		if p, ok := s.Instances[id]; ok {
			p.State = running
		}
		return nil
	})
	for _, a := range ties {
		err = errors.Join(err, c.finishAttach(ctx, a))
	}
	err = errors.Join(err, c.push(ctx))
	c.mu.Lock()
	c.admitted[id] = true
	c.mu.Unlock()
	return err
}

func (c *Cloud) poolOf(id string) (pool string) {
	c.read(func(s *state) {
		if i, ok := s.Instances[id]; ok {
			pool = i.Pool
		}
	})
	return pool
}

// TerminateInstance ends an instance as a request of an operator does. Its pool
// launches another one, with a new primary address. It returns when that is on
// its way.
func (c *Cloud) TerminateInstance(_ context.Context, id string) error {
	return c.change(func(s *state) error {
		i, ok := s.Instances[id]
		if !ok {
			return notFound(id)
		}
		if i.State == terminating {
			return nil
		}
		i.State, i.Reason = terminating, "terminated by a request"
		delete(c.admitted, id)
		return nil
	})
}

// LoseDomain ends all instances of an availability domain without warning and
// lets none be launched there until RestoreDomain.
func (c *Cloud) LoseDomain(ctx context.Context, ad string) error {
	if !knownAD(ad) {
		return invalid("availabilityDomain %q does not exist", ad)
	}
	var ids []string
	err := c.change(func(s *state) error {
		c.lost[ad] = true
		for _, i := range s.instances() {
			if i.AD == ad && (i.State == running || i.State == stopped) {
				i.State, i.Reason = terminating, "its availability domain was lost"
				delete(c.admitted, i.ID)
				ids = append(ids, i.ID)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	err = c.each(ids, func(id string) error { return c.machine.PowerOff(ctx, id) })
	return errors.Join(err, c.push(ctx))
}

// RestoreDomain lets instances be launched in an availability domain again.
func (c *Cloud) RestoreDomain(ad string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.lost, ad)
	for _, i := range c.s.Instances {
		if i.AD == ad {
			delete(c.retryAt, i.ID)
		}
	}
}

// noCapacity is what a launch says where there is nothing to launch on.
func noCapacity(i *instance) *Error {
	return &Error{500, "InternalError", fmt.Sprintf("Out of host capacity. (launching instance %s in %s)", i.Name, i.AD)}
}

// PullVolume detaches a volume that is in use, by force. Its record is DETACHED at
// once, and what has it mounted gets input/output errors. It returns the instance
// that had it and the device; "" when none had.
func (c *Cloud) PullVolume(ctx context.Context, volume string) (instanceID, device string, err error) {
	err = c.change(func(s *state) error {
		if _, ok := s.get(typeVolume, volume); !ok {
			return notFound(volume)
		}
		a := s.attachmentOf(volume)
		if a == nil {
			return errNothing
		}
		instanceID, device, a.State = a.Instance, a.Device, detached
		return nil
	})
	if errors.Is(err, errNothing) {
		return "", "", nil
	}
	if err != nil {
		return "", "", err
	}
	if err := c.machine.PullVolume(ctx, instanceID, volume); err != nil {
		return instanceID, device, fmt.Errorf("pulling volume %s: %w", volume, err)
	}
	return instanceID, device, nil
}

// PushVolume attaches a volume that was pulled to an instance that is stopped; it
// finds it when it starts. One that is attached there is left as it is.
func (c *Cloud) PushVolume(_ context.Context, instanceID, volume, device string) error {
	return c.change(func(s *state) error {
		i, ok := s.Instances[instanceID]
		if !ok {
			return notFound(instanceID)
		}
		if _, ok := s.get(typeVolume, volume); !ok {
			return notFound(volume)
		}
		if a := s.attachmentOf(volume); a != nil {
			if a.Instance == instanceID {
				return nil
			}
			return conflict("Volume %s is already %s to instance %s", volume, a.State, a.Instance)
		}
		if i.State != stopped {
			return incorrectState("Instance %s is %s, it must be STOPPED", instanceID, i.State)
		}
		a := &attachment{
			ID: newOCID("volumeattachment"), Instance: instanceID, Volume: volume, Device: device, State: attached,
			AD: i.AD, Type: "paravirtualized", Seq: s.next(), Created: c.clock.Now().UTC(),
		}
		a.Name = "volumeattachment" + a.Created.Format("20060102150405")
		s.Attachments[a.ID] = a
		return nil
	})
}
