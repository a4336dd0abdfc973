// Package limits is what OCI allows, as its documents say: for settings, components and
// checks, which all have to tell. It asks nobody, and knows no SDK.
package limits
