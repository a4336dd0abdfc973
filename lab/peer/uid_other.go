//go:build !linux

package peer

import (
	"net"
	"os"
)

// uidOf knows nobody else: the lab, which has something to protect, needs Linux.
func uidOf(net.Conn) (uint32, error) { return uint32(os.Geteuid()), nil } //nolint:gosec // an user's number
