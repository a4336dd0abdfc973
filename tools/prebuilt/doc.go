// Command prebuilt takes nomad, consul and pulumi out of their vendors' release archives, so
// that a machine that reaches the vendors need not build them from source.
//
// An archive is opened only when it has the sum that stands in SHA256SUMS of this folder. An
// archive without a line there is not even asked for. Whatever fails, nothing is left behind
// and the exit code is 1: the Makefile then builds the program from source, which go.sum
// verifies.
//
// With -update it writes SHA256SUMS anew, from the lists that the vendors have signed.
package main
