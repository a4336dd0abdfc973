package cloud

import (
	"context"
	"strings"

	"github.com/emqx-oci/emqx-oci/internal/ocicli"
)

func cliBackup(b *backup) Props {
	return Props{
		"id": b.ID, "display-name": b.Name, "volume-id": b.Volume, "type": b.Type, "lifecycle-state": b.State, "compartment-id": CompartmentID,
		"size-in-gbs": b.SizeGB, "size-in-mbs": b.SizeGB * 1024, "unique-size-in-gbs": 1, "source-type": "MANUAL", "expiration-time": nil,
		"kms-key-id": nil, "source-volume-backup-id": nil, "freeform-tags": orEmptyMap(b.Tags), "defined-tags": Props{}, "system-tags": Props{},
		"time-created": cliTime(b.Created), "time-request-received": cliTime(b.Created),
	}
}

func oneBackup(c *Cloud, id string) (*answer, error) {
	return one(c, id, func(s *state) Props {
		if b, ok := s.backup(id); ok {
			return cliBackup(b)
		}
		return nil
	})
}

func runBackup(ctx context.Context, c *Cloud, call *ocicli.Call) (*answer, error) {
	kind := strings.ToUpper(call.Option("type"))
	if kind == "" {
		kind = "INCREMENTAL"
	}
	id, err := c.backUp(ctx, call.Option("volume-id"), call.Option("display-name"), kind, nil)
	if err != nil {
		return nil, err
	}
	a, err := oneBackup(c, id)
	return begun(call, creating, a, err)
}

func listBackups(_ context.Context, c *Cloud, call *ocicli.Call) (*answer, error) {
	if err := ofCompartment(call); err != nil {
		return nil, err
	}
	out := []any{}
	c.read(func(s *state) {
		for _, b := range s.backups() {
			if matches(call, map[string]string{"volume-id": b.Volume, "lifecycle-state": b.State, "display-name": b.Name}) {
				out = append(out, cliBackup(b))
			}
		}
	})
	return &answer{data: out}, nil
}

func runDeleteVolume(ctx context.Context, c *Cloud, call *ocicli.Call) (*answer, error) {
	id := call.Option("volume-id")
	known := false
	c.read(func(s *state) { _, known = s.get(typeVolume, id) })
	if !known {
		return nil, notFound(id)
	}
	return &answer{}, c.Delete(ctx, typeVolume, id)
}

func getBackup(_ context.Context, c *Cloud, call *ocicli.Call) (*answer, error) {
	return oneBackup(c, call.Option("volume-backup-id"))
}

func runDeleteBackup(ctx context.Context, c *Cloud, call *ocicli.Call) (*answer, error) {
	return &answer{}, c.deleteBackup(ctx, call.Option("volume-backup-id"))
}

// backupCommands are those of `oci bv backup`, and the one that loses a volume.
var backupCommands = map[string]command{
	"bv volume delete": {service: "blockstorage", run: runDeleteVolume},
	"bv backup create": {service: "blockstorage", run: runBackup},
	"bv backup list":   {service: "blockstorage", run: listBackups},
	"bv backup get":    {service: "blockstorage", run: getBackup},
	"bv backup delete": {service: "blockstorage", run: runDeleteBackup},
}
