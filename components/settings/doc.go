// Package settings turns a stack's configuration into typed, defaulted and
// validated values. It is the only package that knows the names of
// configuration keys; it knows no resource. Every fault is reported in one run,
// with the key that holds it and what is allowed.
//
// What is known of a setting stands once, at its field: the tags drive the
// validation, and with the comments make [Schema] and docs/settings.md (package
// gen), by package structconfig, which knows none of them. What settings mean
// together is code (validate.go).
package settings
