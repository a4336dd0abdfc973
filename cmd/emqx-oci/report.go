package main

import (
	"github.com/emqx-oci/emqx-oci/components"
	"github.com/emqx-oci/emqx-oci/components/settings"
	"github.com/emqx-oci/emqx-oci/infra/orchestrate"
	"github.com/emqx-oci/emqx-oci/infra/orchestrate/progress"
	"github.com/emqx-oci/emqx-oci/stacks/blast"
)

// assess says what a plan means for the cluster, in the words of stacks/blast, which knows no engine.
func assess(stack string, c orchestrate.Config, plan []progress.Event) (blast.Report, error) {
	s, err := settings.Load(stack, source(c))
	if err != nil {
		return blast.Report{}, err
	}
	index, err := components.JobVersions(s)
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
		}
		for _, d := range e.Changes {
			changes[i].Diffs = append(changes[i].Diffs, blast.Diff(d))
		}
	}
	return blast.Assess(changes, s), nil
}
