// Package table describes the resources of a provider as rows of text and
// answers, from these rows alone, the two questions that the engine asks before
// anything is touched: are these inputs right (Check), and what would change
// (Diff)?
//
// The rows hold what a provider's schema and its documentation say: a property's
// name, type, whether it is required, whether a change replaces the resource,
// whether the cloud fills it in when it is left out, whether it is secret. The
// answers are worded and decided as the bridged Terraform providers do, because a
// program that passes here must pass there.
//
// It knows no gRPC and no cloud. Values are the engine's property values, with
// secrets and unknowns still in them.
package table
