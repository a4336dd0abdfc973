// Package oci is the lab's provider `oci`: the official resource tokens, inputs
// checked and compared as the real plugin does, the work done by the lab's cloud.
//
// The table of properties is written from the official Go SDK (see sdktable), so
// a property that the program can name is here with the same type. What the real
// provider does around the API it does too, also where it hurts: no retry when the
// children of one network load balancer are made in parallel, and an update of a
// claimed private address that takes the address away (see Update).
package oci
