// Package oci is the lab's provider `oci`: the official resource tokens, inputs
// checked and compared as the real plugin does, the work done by the lab's cloud.
//
// The table of properties is written from the official Go SDK (see sdktable), so
// a property that the program can name is here with the same type. There is no
// retry: the children of one network load balancer that are made in parallel fail
// here with the conflict that they fail with there.
package oci
