package cloud

import (
	"context"
	"fmt"
	"regexp"
)

// consistentDevice is OCI's form of a device path that stays the same over boots.
var consistentDevice = regexp.MustCompile(`^/dev/oracleoci/oraclevd(b|[c-z]|a[a-g])$`)

// attach ties a volume to an instance and returns when the device is there.
func (c *Cloud) attach(ctx context.Context, instanceID, volumeID, device, kind, name string) (string, error) {
	var id string
	err := c.change(func(s *state) error {
		inst, ok := s.Instances[instanceID]
		if !ok {
			return notFound(instanceID)
		}
		vol, ok := s.get(typeVolume, volumeID)
		if !ok {
			return notFound(volumeID)
		}
		if inst.State != running {
			return incorrectState("Instance %s is %s, it must be RUNNING", instanceID, inst.State)
		}
		if vol.State != available {
			return incorrectState("Volume %s is %s, it must be AVAILABLE", volumeID, vol.State)
		}
		if ad := str(vol.In, "availabilityDomain"); ad != inst.AD {
			return invalid("Volume %s is in availability domain %s, instance %s in %s: both must be in the same one",
				volumeID, ad, instanceID, inst.AD)
		}
		if a := s.attachmentOf(volumeID); a != nil {
			return conflict("Volume %s is already %s to instance %s", volumeID, a.State, a.Instance)
		}
		if device == "" {
			device = s.freeDevice(instanceID)
		}
		if !consistentDevice.MatchString(device) {
			return invalid("device %q is not of the form /dev/oracleoci/oraclevdb", device)
		}
		for _, a := range s.Attachments {
			if a.Instance == instanceID && a.Device == device && a.State != detached {
				return conflict("Device %s of instance %s is in use by volume %s", device, instanceID, a.Volume)
			}
		}
		a := &attachment{
			ID: newOCID("volumeattachment"), Instance: instanceID, Volume: volumeID, Device: device, State: attaching,
			AD: inst.AD, Type: kind, Name: name, Seq: s.next(), Created: c.clock.Now().UTC(),
		}
		if a.Name == "" {
			a.Name = "volumeattachment" + a.Created.Format("20060102150405")
		}
		s.Attachments[a.ID] = a
		id = a.ID
		return nil
	})
	if err != nil {
		return "", err
	}
	if err := c.pause(ctx, AttachVolume, OpCreate); err != nil {
		return id, err
	}
	return id, c.finishAttach(ctx, id)
}

func (s *state) freeDevice(instanceID string) string {
	for letter := 'b'; letter <= 'z'; letter++ {
		device := "/dev/oracleoci/oraclevd" + string(letter)
		used := false
		for _, a := range s.Attachments {
			used = used || a.Instance == instanceID && a.Device == device && a.State != detached
		}
		if !used {
			return device
		}
	}
	return ""
}

func (c *Cloud) finishAttach(ctx context.Context, id string) error {
	var a attachment
	c.read(func(s *state) {
		if p, ok := s.Attachments[id]; ok {
			a = *p
		}
	})
	if a.ID == "" || a.State == detached {
		return notFound(id)
	}
	if err := c.machine.AttachVolume(ctx, a.Instance, a.Volume, a.Device); err != nil {
		// The record stays ATTACHING: Run tries again, and the instance's end clears it.
		return &Error{500, "InternalError", fmt.Sprintf("attaching volume %s to %s: %v", a.Volume, a.Instance, err)}
	}
	stale := false
	err := c.change(func(s *state) error {
		p, ok := s.Attachments[id]
		if stale = !ok || p.State != attaching && p.State != attached; stale {
			return nil
		}
		p.State = attached
		return nil
	})
	if err == nil && stale { // the instance ended meanwhile
		err = c.machine.DetachVolume(ctx, a.Instance, a.Volume)
	}
	return err
}

// detach releases a volume and returns when it is free.
func (c *Cloud) detach(ctx context.Context, id string) error {
	err := c.change(func(s *state) error {
		a, ok := s.Attachments[id]
		if !ok {
			return notFound(id)
		}
		if a.State != attached && a.State != detaching {
			return incorrectState("Volume attachment %s is %s, it must be ATTACHED", id, a.State)
		}
		a.State = detaching
		return nil
	})
	if err != nil {
		return err
	}
	if err := c.pause(ctx, AttachVolume, OpDelete); err != nil {
		return err
	}
	return c.finishDetach(ctx, id)
}

func (c *Cloud) finishDetach(ctx context.Context, id string) error {
	var a attachment
	c.read(func(s *state) {
		if p, ok := s.Attachments[id]; ok {
			a = *p
		}
	})
	if a.ID == "" || a.State == detached {
		return nil
	}
	if err := c.machine.DetachVolume(ctx, a.Instance, a.Volume); err != nil {
		return &Error{500, "InternalError", fmt.Sprintf("detaching volume %s from %s: %v", a.Volume, a.Instance, err)}
	}
	return c.change(func(s *state) error {
		if p, ok := s.Attachments[id]; ok {
			p.State = detached
		}
		return nil
	})
}
