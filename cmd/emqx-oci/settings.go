package main

import (
	"errors"

	"github.com/emqx-oci/emqx-oci/infra/orchestrate"
	"github.com/emqx-oci/emqx-oci/stacks/settings"
)

// labStack is the stack whose images the lab prepares.
const labStack = "lab"

// validate checks a stack's settings, keys that nobody reads included.
func validate(stack string, c orchestrate.Config) error {
	_, err := settings.Load(stack, settings.Source{Get: c.Get, IsSecret: c.IsSecret})
	return errors.Join(settings.CheckKeys(c.Keys()), err)
}

// wantedImages are those that the project's lab stack asks for. Faults of its other settings are for `up` to tell.
func wantedImages(project string) (broker, proxy string, ok bool) {
	c, err := orchestrate.Read(project, labStack)
	if err != nil {
		return "", "", false
	}
	s, _ := settings.Load(labStack, settings.Source{Get: c.Get, IsSecret: c.IsSecret})
	return s.Broker.Image, s.Proxy.Image, s.Broker.Image != "" && s.Proxy.Image != ""
}
