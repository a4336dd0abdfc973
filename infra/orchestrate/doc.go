// Package orchestrate runs the one program through the Pulumi engine: preview, up, refresh, destroy. It owns the
// folder that the engine works in, the engine's process and its end, the stack's lock, and what a killed run left.
//
// It is the only package that imports the Automation API. It knows nothing of what the program deploys, and nothing of
// settings: a stack file is a map of values to it, checked by a function that the caller gives.
package orchestrate
