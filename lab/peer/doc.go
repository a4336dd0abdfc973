// Package peer tells whose process is at the other end of a connection over this
// machine's loopback, and lets in only those of the listener's own user.
//
// Pulumi's engine is given a port to attach a provider by, and no more: it dials
// 127.0.0.1 without TLS, adds no token of ours, and knows no unix sockets. So the
// kernel is asked who is calling, as SO_PEERCRED tells it for a unix socket. The
// package knows nothing of what listens.
package peer
