package cloud

import (
	"context"
	"fmt"
	"strings"
	"time"
)

const (
	minVolumeGB     = 50        // OCI's smallest block volume
	maxVolumeGB     = 32 * 1024 // and its largest
	defaultVolumeGB = 1024      // what OCI makes when no size is given
)

var volumeKind = kind{
	noun: "volume", starting: provisioning, ready: available, changing: provisioning,
	check: func(s *state, _ string, in, old Props) error {
		if err := need(in, "compartmentId", "availabilityDomain"); err != nil {
			return err
		}
		if ad := str(in, "availabilityDomain"); !knownAD(ad) {
			return invalid("availabilityDomain %q is not one of %s", ad, strings.Join(AvailabilityDomains, ", "))
		}
		if err := within(in, "sizeInGbs", minVolumeGB, maxVolumeGB); err != nil {
			return err
		}
		if err := within(in, "vpusPerGb", 0, 120); err != nil {
			return err
		}
		if vpus := wholeOr(in, "vpusPerGb", 10); vpus%10 != 0 {
			return invalid("vpusPerGb must be a multiple of 10, got %d", vpus)
		}
		if old == nil {
			return checkSource(s, in)
		}
		if !equal(sub(in, "sourceDetails"), sub(old, "sourceDetails")) {
			return invalid("sourceDetails of a volume cannot be changed")
		}
		if str(in, "availabilityDomain") != str(old, "availabilityDomain") {
			return invalid("availabilityDomain of a volume cannot be changed")
		}
		if now, was := volumeGB(in), volumeGB(old); now < was {
			return invalid("sizeInGbs must not be smaller than the volume's present size of %d GB, got %d: a volume can only grow", was, now)
		}
		return nil
	},
	realize: func(ctx context.Context, c *Cloud, id string) error {
		size, backup := 0, ""
		c.read(func(s *state) {
			if r, ok := s.get(typeVolume, id); ok {
				size, backup = volumeGB(r.In), source(r.In)
			}
		})
		if size == 0 {
			return notFound(id)
		}
		// Create keeps an existing file as it is; Resize then brings it to the size.
		if err := c.machine.CreateVolume(ctx, id, size, backup); err != nil {
			return fmt.Errorf("creating volume %s: %w", id, err)
		}
		if err := c.machine.ResizeVolume(ctx, id, size); err != nil {
			return fmt.Errorf("resizing volume %s: %w", id, err)
		}
		return nil
	},
	held: func(s *state, r *resource) error {
		if a := s.attachmentOf(r.ID); a != nil {
			return conflict("Volume %s is %s to instance %s", r.ID, strings.ToLower(a.State), a.Instance)
		}
		return nil
	},
	dismantle: func(ctx context.Context, c *Cloud, id string) error { return c.machine.DeleteVolume(ctx, id) },
	onDelete: func(s *state, r *resource) {
		for id, a := range s.Attachments {
			if a.Volume == r.ID {
				delete(s.Attachments, id)
			}
		}
		for id, o := range s.Resources {
			if o.Token == typeBackupAssignment && str(o.In, "assetId") == r.ID {
				delete(s.Resources, id)
			}
		}
	},
	view: func(_ *state, r *resource) Props {
		out := Props{
			"id": r.ID, "compartmentId": str(r.In, "compartmentId"), "availabilityDomain": str(r.In, "availabilityDomain"),
			"displayName": nameOf(r), "sizeInGbs": fmt.Sprint(volumeGB(r.In)), "sizeInMbs": fmt.Sprint(volumeGB(r.In) * 1024),
			"vpusPerGb": fmt.Sprint(wholeOr(r.In, "vpusPerGb", 10)), "autoTunedVpusPerGb": fmt.Sprint(wholeOr(r.In, "vpusPerGb", 10)),
			"isAutoTuneEnabled": flag(r.In, "isAutoTuneEnabled", false), "isHydrated": true, "isReservationsEnabled": false,
			"autotunePolicies": orEmptyList(list(r.In, "autotunePolicies")), "blockVolumeReplicas": []any{},
			"definedTags": orEmptyMap(sub(r.In, "definedTags")), "freeformTags": orEmptyMap(sub(r.In, "freeformTags")),
			"systemTags": Props{}, "state": r.State, "timeCreated": stamp(r.Created),
		}
		if from := sub(r.In, "sourceDetails"); from != nil {
			out["sourceDetails"] = from
		}
		return out
	},
}

func volumeGB(in Props) int {
	if mb := wholeOr(in, "sizeInMbs", 0); mb > 0 && in["sizeInGbs"] == nil {
		return mb / 1024
	}
	return wholeOr(in, "sizeInGbs", defaultVolumeGB)
}

// nameOf is the display name; OCI invents one from type and time when none is given.
func nameOf(r *resource) string {
	if n := str(r.In, "displayName"); n != "" {
		return n
	}
	return kinds[r.Token].noun + r.Created.Format("20060102150405")
}

// stamp is a time as OCI's API gives it.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

var backupAssignmentKind = kind{
	noun: "volumebackuppolicyassignment", starting: active, ready: active,
	check: func(s *state, _ string, in, old Props) error {
		if err := need(in, "assetId", "policyId"); err != nil {
			return err
		}
		if old != nil && !equal(in, old) {
			return invalid("a backup policy assignment cannot be changed")
		}
		asset := str(in, "assetId")
		if _, ok := s.get(typeVolume, asset); !ok {
			return notFound(asset)
		}
		if p := str(in, "policyId"); !knownPolicy(p) {
			return notFound(p)
		}
		return nil
	},
	// A volume has one policy: OCI silently takes the one before off it.
	record: func(s *state, r *resource) error {
		for id, o := range s.Resources {
			if o.Token == typeBackupAssignment && str(o.In, "assetId") == str(r.In, "assetId") {
				delete(s.Resources, id)
			}
		}
		return nil
	},
	view: func(_ *state, r *resource) Props {
		return Props{"id": r.ID, "assetId": str(r.In, "assetId"), "policyId": str(r.In, "policyId"), "timeCreated": stamp(r.Created)}
	},
}
