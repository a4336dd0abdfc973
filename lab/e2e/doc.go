// Package e2e holds the tests that deploy the whole cluster on a lab and look at
// it from outside, through the command line that a user types. They need root and
// the build tag `lab`; `make test` runs them.
package e2e
