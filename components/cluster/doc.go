// Package cluster is the ground floor: what more than one layer must know of an EMQX
// cluster stands here once. That is names and labels, ports, what connections cost,
// versions and images, times of a rollout, EMQX's variables that are the stack's own,
// and what secrets look like. Settings, components, checks and gates ask here, so that
// none accepts what another refuses.
//
// It is plain data and rules: it asks nobody, and knows no cloud, no SDK and no settings.
package cluster
