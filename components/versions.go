package components

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/emqx-oci/emqx-oci/components/settings"
	"github.com/emqx-oci/emqx-oci/infra/gates"
)

// JobVersions returns a question to Nomad: the version of a job that is registered, as
// the provider keeps it in the state (JobModifyIndex); "0" when there is none. It
// grows with every registration, by whomever, and with nothing else.
func JobVersions(s settings.Settings) (func(job string) (string, error), error) {
	nomadAPI, _, err := agents(s)
	if err != nil {
		return nil, err
	}
	return func(id string) (string, error) {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		job, err := nomadAPI.Job(ctx, id)
		switch {
		case errors.Is(err, gates.ErrNotFound), err == nil && job.JobModifyIndex == nil:
			return "0", nil
		case err != nil:
			return "", fmt.Errorf("reading the version of job %q: %w", id, err)
		}
		return strconv.FormatUint(*job.JobModifyIndex, 10), nil
	}, nil
}
