package cloud

import (
	"context"
	"fmt"
	"sort"
	"time"
)

// faulty is the state of a backup that was not finished.
const faulty = "FAULTY"

// backup of a volume. It is no resource of a program here: policies and operators
// make them.
type backup struct {
	ID, Name, Volume, Type, State string
	SizeGB, Seq                   int
	Created                       time.Time
	Tags                          Props `json:",omitempty"`
}

func (s *state) backup(id string) (*backup, bool) {
	b, ok := s.Backups[id]
	return b, ok
}

func (s *state) backups() []*backup {
	out := make([]*backup, 0, len(s.Backups))
	for _, b := range s.Backups {
		out = append(out, b)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Seq < out[j].Seq })
	return out
}

// policies are Oracle's own backup policies, which every tenancy has. The lab takes
// no backups by their schedules: it lives for hours.
var policies = []struct{ name, id string }{
	{"gold", "ocid1.volumebackuppolicy.oc1..aaaaaaaalabgold"},
	{"silver", "ocid1.volumebackuppolicy.oc1..aaaaaaaalabsilver"},
	{"bronze", "ocid1.volumebackuppolicy.oc1..aaaaaaaalabbronze"},
}

func knownPolicy(id string) bool {
	for _, p := range policies {
		if p.id == id {
			return true
		}
	}
	return false
}

// listPolicies answers getVolumeBackupPolicies: without a compartment Oracle's own,
// with one those that its users made, of which the lab has none.
func listPolicies(_ *state, args Props) (Props, error) {
	compartment := str(args, "compartmentId")
	if compartment != "" && compartment != CompartmentID && compartment != TenancyID {
		return nil, notFound(compartment)
	}
	items := []any{}
	for _, p := range policies {
		if compartment != "" {
			break
		}
		items = append(items, Props{
			"id": p.id, "displayName": p.name, "compartmentId": "", "destinationRegion": "", "schedules": []any{},
			"definedTags": Props{}, "freeformTags": Props{}, "timeCreated": "2018-04-27T00:00:00.000Z",
		})
	}
	out := clone(args)
	out["id"], out["volumeBackupPolicies"] = "volumebackuppolicies", filtered(items, args)
	return out, nil
}

// backUp copies what a volume holds now and returns when the backup can be used.
func (c *Cloud) backUp(ctx context.Context, volume, name, kind string, tags Props) (string, error) {
	var b *backup
	err := c.change(func(s *state) error {
		v, ok := s.get(typeVolume, volume)
		if !ok {
			return notFound(volume)
		}
		if v.State != available {
			return incorrectState("Volume %s is %s, it must be AVAILABLE", volume, v.State)
		}
		if kind != "FULL" && kind != "INCREMENTAL" {
			return invalid("type must be FULL or INCREMENTAL, got %q", kind)
		}
		b = &backup{
			ID: newOCID("volumebackup"), Name: name, Volume: volume, Type: kind, State: creating, SizeGB: volumeGB(v.In),
			Seq: s.next(), Created: c.clock.Now().UTC(), Tags: tags,
		}
		if b.Name == "" {
			b.Name = "volumebackup" + b.Created.Format("20060102150405")
		}
		s.Backups[b.ID] = b
		return nil
	})
	if err != nil {
		return "", err
	}
	id := b.ID
	copied := c.machine.BackupVolume(ctx, volume, id)
	if copied == nil {
		copied = c.pause(ctx, CopyVolume, OpCreate)
	}
	err = c.change(func(s *state) error {
		b, ok := s.Backups[id]
		if !ok {
			return notFound(id)
		}
		b.State = available
		if copied != nil {
			b.State = faulty
		}
		return nil
	})
	if copied != nil {
		return id, &Error{500, "InternalError", fmt.Sprintf("backing volume %s up: %v", volume, copied)}
	}
	return id, err
}

func (c *Cloud) deleteBackup(ctx context.Context, id string) error {
	err := c.change(func(s *state) error {
		b, ok := s.backup(id)
		if !ok {
			return notFound(id)
		}
		if b.State == creating {
			return incorrectState("Volume backup %s is %s", id, b.State)
		}
		delete(s.Backups, id)
		return nil
	})
	if err != nil {
		return err
	}
	return c.machine.DeleteBackup(ctx, id)
}

// unfinishedBackups are those of a process that died: nobody knows how much they hold.
func (s *state) unfinishedBackups() {
	for _, b := range s.Backups {
		if b.State == creating {
			b.State = faulty
		}
	}
}

// source is the backup that a volume is made from, "" for an empty one.
func source(in Props) string { return str(sub(in, "sourceDetails"), "id") }

// checkSource refuses what a volume cannot be made from.
func checkSource(s *state, in Props) error {
	details := sub(in, "sourceDetails")
	if details == nil {
		return nil
	}
	if kind := str(details, "type"); kind != "volumeBackup" {
		return &Error{501, "NotImplemented", fmt.Sprintf("the lab makes volumes of a volumeBackup only, not of a %q", kind)}
	}
	id := str(details, "id")
	b, ok := s.backup(id)
	if !ok {
		return notFound(id)
	}
	if b.State != available {
		return incorrectState("Volume backup %s is %s, it must be AVAILABLE", id, b.State)
	}
	if size := volumeGB(in); size < b.SizeGB {
		return invalid("sizeInGbs must not be smaller than the %d GB of volume backup %s, got %d", b.SizeGB, id, size)
	}
	return nil
}
