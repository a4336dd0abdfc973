// Package oci is the lab's provider `oci`: the official resource tokens, inputs
// checked and compared as the real plugin does, the work done by the lab's cloud.
//
// The table of properties is written from the official Go SDK (see sdktable), so
// a property that the program can name is here with the same type. Beside the calls
// themselves it does what the official provider does about them: which it repeats, how
// it waits, what it sends that the program did not say (quirks.go).
package oci
