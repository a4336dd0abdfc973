package peer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Layout of inet_diag_req_v2 and inet_diag_msg, see linux/inet_diag.h: the first
// holds a head of 8 bytes and the 48 of a socket's name, the second a head of 4,
// the name, and five numbers.
const (
	requestSize = 8 + nameSize
	nameSize    = 48
	replySize   = 4 + nameSize + 20
	atUID       = 4 + nameSize + 12
	atInode     = 4 + nameSize + 16
)

// connected are the states, as linux/tcp_states.h counts them, in which a socket
// is the other end of a connection that has been accepted. One that is being opened
// (SYN_SENT) may be somebody else's with the same two ports as one that has gone.
var connected = []byte{netlink.TCP_ESTABLISHED, netlink.TCP_FIN_WAIT1, netlink.TCP_FIN_WAIT2}

// uidOf is the user who made the caller's socket, in the view of this process. It
// asks for that very socket, by both its addresses. A caller that has closed it
// already has none any more: what the kernel keeps of it names no user, or root.
func uidOf(c net.Conn) (uint32, error) {
	local, here := c.LocalAddr().(*net.TCPAddr)
	remote, there := c.RemoteAddr().(*net.TCPAddr)
	if !here || !there || local.IP.To4() == nil || remote.IP.To4() == nil {
		return 0, fmt.Errorf("%s to %s is not TCP over IPv4", c.RemoteAddr(), c.LocalAddr())
	}
	if !local.IP.IsLoopback() || !remote.IP.IsLoopback() {
		return 0, fmt.Errorf("%s to %s is not of this machine's loopback", remote, local)
	}
	body := make([]byte, requestSize)
	body[0], body[1] = unix.AF_INET, unix.IPPROTO_TCP
	binary.NativeEndian.PutUint32(body[4:], ^uint32(0)) // in any state
	name := body[8:]
	// What is remote here is local to the socket that is looked for.
	binary.BigEndian.PutUint16(name[0:], uint16(remote.Port))
	binary.BigEndian.PutUint16(name[2:], uint16(local.Port))
	copy(name[4:], remote.IP.To4())
	copy(name[20:], local.IP.To4())
	binary.NativeEndian.PutUint32(name[40:], nl.TCPDIAG_NOCOOKIE)
	binary.NativeEndian.PutUint32(name[44:], nl.TCPDIAG_NOCOOKIE)
	// Without NLM_F_DUMP, which would go by the ports alone.
	req := nl.NewNetlinkRequest(nl.SOCK_DIAG_BY_FAMILY, 0)
	req.AddRawData(body)
	replies, err := req.Execute(unix.NETLINK_INET_DIAG, nl.SOCK_DIAG_BY_FAMILY)
	if err != nil {
		return 0, fmt.Errorf("asking for the socket %s: %w", remote, err)
	}
	if len(replies) != 1 || len(replies[0]) < replySize {
		return 0, fmt.Errorf("asking for the socket %s: no answer that can be read", remote)
	}
	reply := replies[0]
	if !slices.Contains(connected, reply[1]) || binary.BigEndian.Uint16(reply[4+2:]) != uint16(local.Port) {
		return 0, errors.New("the caller has gone")
	}
	uid := binary.NativeEndian.Uint32(reply[atUID:])
	// The kernel fills in the user first. A socket that has an inode after that had one
	// then, and with it its owner.
	if binary.NativeEndian.Uint32(reply[atInode:]) == 0 {
		return 0, errors.New("the caller has gone")
	}
	return uid, nil
}
