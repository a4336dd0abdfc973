package cli

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/emqx-oci/emqx-oci/cmd/internal/beside"
)

// Extension is a program beside this one, emqx-oci-<name>. beside.Program is one.
type Extension interface {
	// Become replaces this process by it.
	Become(args ...string) error
	// Output runs it and gives what it prints.
	Output(ctx context.Context, args ...string) ([]byte, error)
}

// attach asks the program of a cloud what the engine needs to work on it.
func (a *app) attach(cloud string) (beside.Attachment, error) {
	var with beside.Attachment
	text, err := a.Extension(cloud).Output(context.Background(), a.forCloud("attach")...)
	if err != nil {
		return with, err
	}
	if err := json.Unmarshal(text, &with); err != nil {
		return with, fmt.Errorf("asking emqx-oci-%s how to work on its cloud: %w", cloud, err)
	}
	return with, nil
}

// prepare lets a cloud get ready for what its stack file names: the lab has its images then, as a registry has.
func (a *app) prepare(ctx context.Context, t *target) error {
	if t.cloud == "" {
		return nil
	}
	dir, err := a.projectDir()
	if err != nil {
		return err
	}
	_, err = a.Extension(t.cloud).Output(ctx, a.forCloud("prepare", t.stack, "--project", dir)...)
	return err
}

// forCloud adds to a call what this one says about where the cloud is.
func (a *app) forCloud(args ...string) []string {
	if a.labDir != "" {
		args = append(args, "--lab-dir", a.labDir)
	}
	return args
}
