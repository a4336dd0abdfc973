package cloud

import (
	"context"
	"strings"
)

func cliBackup(b *backup) Props {
	return Props{
		"id": b.ID, "display-name": b.Name, "volume-id": b.Volume, "type": b.Type, "lifecycle-state": b.State, "compartment-id": CompartmentID,
		"size-in-gbs": b.SizeGB, "size-in-mbs": b.SizeGB * 1024, "unique-size-in-gbs": 1, "source-type": "MANUAL", "expiration-time": nil,
		"kms-key-id": nil, "source-volume-backup-id": nil, "freeform-tags": orEmptyMap(b.Tags), "defined-tags": Props{}, "system-tags": Props{},
		"time-created": cliTime(b.Created), "time-request-received": cliTime(b.Created),
	}
}

func oneBackup(c *Cloud, id, as, note string) (*answer, error) {
	var data Props
	c.read(func(s *state) {
		if b, ok := s.backup(id); ok {
			data = cliBackup(b)
		}
	})
	if data == nil {
		return nil, notFound(id)
	}
	if as != "" {
		data["lifecycle-state"] = as
	}
	return &answer{data: data, etag: true, note: note}, nil
}

func runBackup(ctx context.Context, c *Cloud, opt map[string]string) (*answer, error) {
	kind := strings.ToUpper(opt["type"])
	if kind == "" {
		kind = "INCREMENTAL"
	}
	id, err := c.backUp(ctx, opt["volume-id"], opt["display-name"], kind, nil)
	if err != nil {
		return nil, err
	}
	if opt["wait-for-state"] == "" {
		return oneBackup(c, id, creating, "") // what the real one has seen by then
	}
	return oneBackup(c, id, "", waitNote(opt))
}

func listBackups(_ context.Context, c *Cloud, opt map[string]string) (*answer, error) {
	if err := ofCompartment(opt); err != nil {
		return nil, err
	}
	out := []any{}
	c.read(func(s *state) {
		for _, b := range s.backups() {
			if matches(opt, map[string]string{"volume-id": b.Volume, "lifecycle-state": b.State, "display-name": b.Name}) {
				out = append(out, cliBackup(b))
			}
		}
	})
	return &answer{data: out}, nil
}

func runDeleteVolume(ctx context.Context, c *Cloud, opt map[string]string) (*answer, error) {
	id := opt["volume-id"]
	known := false
	c.read(func(s *state) { _, known = s.get(typeVolume, id) })
	if !known {
		return nil, notFound(id)
	}
	return &answer{}, c.Delete(ctx, typeVolume, id)
}

// backupCommands are those of `oci bv backup`, and the one that loses a volume.
var backupCommands = map[string]command{
	"bv volume delete": {
		options: append([]string{"volume-id", "if-match"}, waiting...), flags: []string{"force"},
		required: []string{"volume-id"}, confirm: true, service: "blockstorage", run: runDeleteVolume,
	},
	"bv backup create": {
		options:  append([]string{"volume-id", "display-name", "type"}, waiting...),
		required: []string{"volume-id"}, service: "blockstorage", run: runBackup,
	},
	"bv backup list": {
		options:  append([]string{"compartment-id", "volume-id", "display-name", "lifecycle-state"}, paging...),
		required: []string{"compartment-id"}, flags: []string{"all"}, service: "blockstorage", run: listBackups,
	},
	"bv backup get": {
		options: []string{"volume-backup-id"}, required: []string{"volume-backup-id"}, service: "blockstorage",
		run: func(_ context.Context, c *Cloud, opt map[string]string) (*answer, error) {
			return oneBackup(c, opt["volume-backup-id"], "", "")
		},
	},
	"bv backup delete": {
		options: append([]string{"volume-backup-id", "if-match"}, waiting...), flags: []string{"force"},
		required: []string{"volume-backup-id"}, confirm: true, service: "blockstorage",
		run: func(ctx context.Context, c *Cloud, opt map[string]string) (*answer, error) {
			return &answer{}, c.deleteBackup(ctx, opt["volume-backup-id"])
		},
	},
}
