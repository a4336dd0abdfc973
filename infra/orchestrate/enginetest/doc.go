// Package enginetest is a tiny cloud for tests of the orchestrator: an attached Pulumi provider "sim" with one
// resource type, whose creates can be slowed down, held and made to fail by the test.
//
// It lives in the test's own process, so that a test can kill the whole program under test, engine included, and
// still see what was really created.
package enginetest
