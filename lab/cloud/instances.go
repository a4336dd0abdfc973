package cloud

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// launch brings a PROVISIONING instance to RUNNING: its PID 1 runs, its boot
// script may still do.
func (c *Cloud) launch(ctx context.Context, id string) error {
	var i instance
	c.read(func(s *state) {
		if p, ok := s.Instances[id]; ok {
			i = *p
		}
	})
	if i.State != provisioning {
		return nil
	}
	if err := c.pause(ctx, LaunchInstance, OpCreate); err != nil {
		return fmt.Errorf("launching instance %s: %w", i.Name, err)
	}
	c.mu.Lock()
	lost := c.lost[i.AD]
	if lost {
		c.retryAt[id] = c.clock.Now().Add(launchRetry)
	}
	c.mu.Unlock()
	if lost {
		return noCapacity(&i)
	}
	// The guest asks for its user data as soon as PID 1 runs, so the time until
	// which the metadata service keeps it waiting must be known before.
	err := c.change(func(s *state) error {
		p, ok := s.Instances[id]
		if !ok || p.State != provisioning {
			return errNothing
		}
		p.Booted = c.clock.Now().Add(c.latency.Of(BootInstance, OpCreate)).UTC()
		return nil
	})
	if errors.Is(err, errNothing) {
		return nil
	}
	if err != nil {
		return err
	}
	err = c.machine.LaunchInstance(ctx, InstanceSpec{ID: i.ID, Name: i.Name, Address: netip.MustParseAddr(i.Address)})
	if err != nil {
		c.mu.Lock()
		c.retryAt[id] = c.clock.Now().Add(launchRetry)
		c.mu.Unlock()
		return &Error{500, "InternalError", fmt.Sprintf("launching instance %s (%s): %v", i.Name, i.Address, err)}
	}
	err = c.change(func(s *state) error {
		if p, ok := s.Instances[id]; ok && p.State == provisioning {
			p.State = running
			delete(c.retryAt, id)
		}
		return nil
	})
	if err != nil {
		return err
	}
	// At once, whatever else the pool still launches: without rules it is shut off.
	err = c.push(ctx)
	c.mu.Lock()
	c.admitted[id] = true
	c.mu.Unlock()
	return err
}

// end finishes a TERMINATING instance: its processes, its attachments, its
// claims on addresses, and last its record.
func (c *Cloud) end(ctx context.Context, id string) error {
	var volumes []string
	known := false
	c.read(func(s *state) {
		_, known = s.Instances[id]
		for _, a := range s.attachments() {
			if a.Instance == id && a.State != detached {
				volumes = append(volumes, a.Volume)
			}
		}
	})
	if !known {
		return nil
	}
	if err := c.pause(ctx, TerminateInstance, OpDelete); err != nil {
		return fmt.Errorf("terminating instance %s: %w", id, err)
	}
	if err := c.machine.TerminateInstance(ctx, id); err != nil {
		return fmt.Errorf("terminating instance %s: %w", id, err)
	}
	for _, v := range volumes {
		if err := c.machine.DetachVolume(ctx, id, v); err != nil {
			return fmt.Errorf("detaching volume %s from the terminated instance %s: %w", v, id, err)
		}
	}
	err := c.change(func(s *state) error {
		i, ok := s.Instances[id]
		if !ok {
			return nil
		}
		for _, a := range s.Attachments {
			if a.Instance == id {
				a.State = detached
			}
		}
		for _, r := range s.of(typePrivateIP) {
			if r.VNIC == i.VNIC {
				r.VNIC = ""
			}
		}
		delete(s.Instances, id)
		delete(c.retryAt, id)
		delete(c.admitted, id)
		return nil
	})
	if err != nil {
		return err
	}
	return c.push(ctx)
}

// maxHold bounds how long a guest is kept waiting for its own launch to finish,
// should the machine wait for the guest in turn.
const maxHold = 10 * time.Second

// awaitLaunch waits until an instance's launch is complete, its rules in place and
// its boot time over, as all of that is true in OCI when a guest's first program
// asks for anything. It returns a copy of the instance.
func (c *Cloud) awaitLaunch(ctx context.Context, id string) (instance, bool) {
	for deadline := time.Now().Add(maxHold); ; {
		var i instance
		admitted := false
		c.read(func(s *state) {
			if p, ok := s.Instances[id]; ok && p.live() {
				i, admitted = *p, c.admitted[id]
			}
		})
		switch {
		case i.ID == "":
			return i, false
		case admitted || time.Now().After(deadline):
			return i, c.clock.Sleep(ctx, i.Booted.Sub(c.clock.Now())) == nil
		}
		select {
		case <-ctx.Done():
			return i, false
		case <-time.After(5 * time.Millisecond):
		}
	}
}
