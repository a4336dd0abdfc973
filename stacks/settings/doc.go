// Package settings turns a stack's configuration into typed, defaulted and
// validated values. It is the only package that knows the names of
// configuration keys; it knows no resource. Every fault is reported in one run,
// with the key that holds it and what is allowed.
package settings
