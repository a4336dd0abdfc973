// Package rpc is the Pulumi side of the lab's providers: the gRPC service that
// the engine calls, in terms of a table of resources and a Client that does the
// work. What is the same for every provider is here once: checking, comparing,
// previews, secrets, timeouts, cancelling, refreshing.
//
// One server serves every engine run that is pointed at it, also several at a
// time and with different configuration. A run's configuration is kept with its
// connection, the only thing by which calls of one run can be told from those of
// another.
package rpc
