package orchestrate

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/urn"
)

// Resource is one of a cloud that the stack's state holds.
type Resource struct {
	// Type is the resource's type token, Name its name in the program, ID the cloud's name for it.
	Type, Name, ID string
	// Protected ones make a destroy refuse, Retained ones stay in the cloud when the stack no longer has them.
	Protected, Retained bool
	// Inputs are the resource's inputs as the state holds them; secrets are encrypted.
	Inputs map[string]any
}

// Resources lists what the stack's state holds, components and providers left out. Nothing is touched, and no cloud is
// asked. A stack that was never deployed is a [*NotCreatedError].
func (r *Runner) Resources(ctx context.Context) ([]Resource, error) {
	s, err := r.open(ctx, false)
	if err != nil {
		return nil, err
	}
	text, err := r.export(ctx, s)
	if err != nil {
		return nil, r.plainError(ctx, "reading the stack's state", err)
	}
	all, err := resources([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("reading the stack's state: %w", err)
	}
	return all, nil
}

func resources(text []byte) ([]Resource, error) {
	var state struct {
		Deployment struct {
			Resources []struct {
				URN            string         `json:"urn"`
				Type           string         `json:"type"`
				ID             string         `json:"id"`
				Custom         bool           `json:"custom"`
				Protect        bool           `json:"protect"`
				RetainOnDelete bool           `json:"retainOnDelete"`
				Inputs         map[string]any `json:"inputs"`
			} `json:"resources"`
		} `json:"deployment"`
	}
	if err := json.Unmarshal(text, &state); err != nil {
		return nil, err
	}
	var all []Resource
	for _, x := range state.Deployment.Resources {
		if !x.Custom || strings.HasPrefix(x.Type, "pulumi:") {
			continue
		}
		all = append(all, Resource{
			Type: x.Type, Name: urn.URN(x.URN).Name(), ID: x.ID, Protected: x.Protect, Retained: x.RetainOnDelete, Inputs: x.Inputs,
		})
	}
	return all, nil
}
