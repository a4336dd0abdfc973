// Package structconfig reads structured configuration into a Go struct and tells
// all that is wrong with it at once. What is known of a value stands once, at its
// field: the tags drive decoding and validation, and with the comments make the
// JSON Schema and the page (package reference).
//
// It knows no setting, no format, no file and no cloud: [Describe] is given the
// struct, and the formats that its tags name. Faults have paths from the struct's
// root ("nodes.count"); [WithPrefix] makes them what a person writes.
package structconfig
