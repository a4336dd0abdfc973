package orchestrate

import (
	"context"
	"fmt"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/opthistory"
)

// Update is an operation that the backend has on record.
type Update struct {
	// Kind is the engine's word: update, refresh, destroy, resource-import.
	Kind string
	// Result is succeeded, failed or in-progress.
	Result         string
	Started, Ended time.Time // zero is unknown
}

// LastUpdate reads the newest operation on record; nil is none. A run that was killed is
// not on record everywhere. It works while another run holds the stack.
func (r *Runner) LastUpdate(ctx context.Context) (*Update, error) {
	s, err := r.open(ctx, false)
	if err != nil {
		return nil, err
	}
	all, err := s.stack.History(context.WithValue(ctx, question{}, true), 1, 1, opthistory.ShowSecrets(false))
	if err != nil {
		return nil, r.plainError(ctx, "reading the stack's history", err)
	}
	if len(all) == 0 {
		return nil, nil
	}
	return update(all[0])
}

func update(h auto.UpdateSummary) (*Update, error) {
	u := &Update{Kind: h.Kind, Result: h.Result}
	var err error
	if u.Started, err = parseTime(h.StartTime); err != nil {
		return nil, err
	}
	if h.EndTime != nil {
		u.Ended, err = parseTime(*h.EndTime)
	}
	return u, err
}

func parseTime(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("reading the stack's history: %w", err)
	}
	return at, nil
}
