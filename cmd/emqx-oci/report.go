package main

import (
	"context"
	"slices"
	"time"

	"github.com/emqx-oci/emqx-oci/components"
	"github.com/emqx-oci/emqx-oci/components/blast"
	"github.com/emqx-oci/emqx-oci/components/kinds"
	"github.com/emqx-oci/emqx-oci/components/settings"
	"github.com/emqx-oci/emqx-oci/infra/orchestrate"
	"github.com/emqx-oci/emqx-oci/infra/orchestrate/progress"
)

// assess says what a plan means for the cluster, in the words of components/blast, which knows no engine.
func assess(stack string, c orchestrate.Config, plan []progress.Event) (blast.Report, error) {
	s, err := settings.Load(stack, source(c))
	if err != nil {
		return blast.Report{}, err
	}
	index, err := components.JobVersions(s)
	if err != nil {
		return blast.Report{}, err
	}
	outlooks, err := outlooksOf(s, plan)
	if err != nil {
		return blast.Report{}, err
	}
	changes := make([]blast.Change, len(plan))
	for i, e := range plan {
		changes[i] = blast.Change{Op: e.Op, Type: e.Type, Name: e.Name, URN: e.URN, ID: e.ID, Retained: e.Retained, Old: e.Before, New: e.After}
		if e.Op == "update" && e.ModifyIndex != "" {
			now, err := index(e.ID)
			if err != nil {
				return blast.Report{}, err
			}
			changes[i].Outside = now != e.ModifyIndex
			if o, known := outlooks[e.ID]; known {
				told := blast.Outlook(o)
				changes[i].Outlook = &told
			}
		}
		for _, d := range e.Changes {
			changes[i].Diffs = append(changes[i].Diffs, blast.Diff(d))
		}
	}
	return blast.Assess(changes, s, kinds.Of(s).Words()), nil
}

// outlooksOf asks Nomad what becomes of jobs that the plan changes, if there are any.
func outlooksOf(s settings.Settings, plan []progress.Event) (map[string]components.JobOutlook, error) {
	if !slices.ContainsFunc(plan, func(e progress.Event) bool { return e.Op == "update" && e.ModifyIndex != "" }) {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return components.JobOutlooks(ctx, s)
}
