package machine

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// links works on the interfaces of one namespace.
type links struct {
	ns string
	h  *netlink.Handle
}

func openLinks(ns string) (*links, error) {
	fd, err := netns.GetFromPath(netnsPath(ns))
	if err != nil {
		return nil, fmt.Errorf("opening namespace %s: %w", ns, err)
	}
	defer fd.Close()
	h, err := netlink.NewHandleAt(fd, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("opening namespace %s: %w", ns, err)
	}
	return &links{ns: ns, h: h}, nil
}

func (l *links) close() { l.h.Close() }

func (l *links) up(name string) error {
	link, err := l.h.LinkByName(name)
	if err == nil {
		err = l.h.LinkSetUp(link)
	}
	if err != nil {
		return fmt.Errorf("bringing up %s in %s: %w", name, l.ns, err)
	}
	return nil
}

func (l *links) has(name string) bool {
	_, err := l.h.LinkByName(name)
	return err == nil
}

// veth makes a pair with one end here and the other in the namespace peerNS.
func (l *links) veth(name, peerNS, peer string) error {
	if l.has(name) {
		return nil
	}
	fd, err := netns.GetFromPath(netnsPath(peerNS))
	if err != nil {
		return fmt.Errorf("opening namespace %s: %w", peerNS, err)
	}
	defer fd.Close()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	v := &netlink.Veth{LinkAttrs: attrs, PeerName: peer, PeerNamespace: netlink.NsFd(int(fd))}
	if err := l.h.LinkAdd(v); err != nil {
		return fmt.Errorf("linking %s and %s: %w", l.ns, peerNS, err)
	}
	return nil
}

func (l *links) remove(name string) error {
	link, err := l.h.LinkByName(name)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil
	}
	if err == nil {
		err = l.h.LinkDel(link)
	}
	if errors.Is(err, unix.ENODEV) { // its other end went meanwhile, and it with it
		return nil
	}
	if err != nil {
		return fmt.Errorf("removing %s from %s: %w", name, l.ns, err)
	}
	return nil
}

func (l *links) address(name string, p netip.Prefix) error {
	link, err := l.h.LinkByName(name)
	if err == nil {
		err = l.h.AddrReplace(link, &netlink.Addr{IPNet: ipNet(p)})
	}
	if err != nil {
		return fmt.Errorf("adding %s to %s in %s: %w", p, name, l.ns, err)
	}
	return nil
}

func (l *links) removeAddress(name string, p netip.Prefix) error {
	link, err := l.h.LinkByName(name)
	if err == nil {
		err = l.h.AddrDel(link, &netlink.Addr{IPNet: ipNet(p)})
	}
	if err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
		return fmt.Errorf("removing %s from %s in %s: %w", p, name, l.ns, err)
	}
	return nil
}

// addresses lists the IPv4 ones of an interface that lie in the subnet.
func (l *links) addresses(name string, in netip.Prefix) ([]netip.Addr, error) {
	link, err := l.h.LinkByName(name)
	if err != nil {
		return nil, fmt.Errorf("reading addresses of %s in %s: %w", name, l.ns, err)
	}
	list, err := l.h.AddrList(link, netlink.FAMILY_V4)
	if err != nil {
		return nil, fmt.Errorf("reading addresses of %s in %s: %w", name, l.ns, err)
	}
	var out []netip.Addr
	for _, a := range list {
		if ip, ok := netip.AddrFromSlice(a.IP.To4()); ok && in.Contains(ip) {
			out = append(out, ip)
		}
	}
	return out, nil
}

// route sends dst over an interface, or over a gateway when via is valid. A route
// to dst over another interface is replaced: an address has one owner.
func (l *links) route(dst netip.Prefix, name string, via netip.Addr) error {
	link, err := l.h.LinkByName(name)
	if err == nil {
		r := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: ipNet(dst), Scope: netlink.SCOPE_LINK}
		if via.IsValid() {
			r.Gw, r.Scope = via.AsSlice(), netlink.SCOPE_UNIVERSE
		}
		err = l.h.RouteReplace(r)
	}
	if err != nil {
		return fmt.Errorf("routing %s over %s in %s: %w", dst, name, l.ns, err)
	}
	return nil
}

// routesOver lists the single addresses that are routed over an interface.
func (l *links) routesOver(name string) ([]netip.Addr, error) {
	link, err := l.h.LinkByName(name)
	if err != nil {
		return nil, fmt.Errorf("reading routes over %s in %s: %w", name, l.ns, err)
	}
	list, err := l.h.RouteList(link, netlink.FAMILY_V4)
	if err != nil {
		return nil, fmt.Errorf("reading routes over %s in %s: %w", name, l.ns, err)
	}
	var out []netip.Addr
	for _, r := range list {
		if r.Dst == nil {
			continue
		}
		if ones, bits := r.Dst.Mask.Size(); ones != 32 || bits != 32 {
			continue
		}
		if ip, ok := netip.AddrFromSlice(r.Dst.IP.To4()); ok {
			out = append(out, ip)
		}
	}
	return out, nil
}

func (l *links) removeRoute(dst netip.Addr, name string) error {
	link, err := l.h.LinkByName(name)
	if err == nil {
		err = l.h.RouteDel(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: ipNet(netip.PrefixFrom(dst, 32)), Scope: netlink.SCOPE_LINK})
	}
	if err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("removing the route to %s over %s in %s: %w", dst, name, l.ns, err)
	}
	return nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), 32)}
}

// attach hangs a namespace on the gateway by a veth pair: ifname inside, veth in
// the gateway. routed is what the gateway sends there.
func (m *Machine) attach(ns, veth, ifname string, subnet netip.Prefix, addrs []netip.Addr, routed []netip.Prefix) error {
	gw, err := openLinks(m.ns(nsGateway))
	if err != nil {
		return err
	}
	defer gw.close()
	in, err := openLinks(ns)
	if err != nil {
		return err
	}
	defer in.close()
	if gw.has(veth) && !in.has(ifname) {
		// A half-built pair of a killed process.
		if err := gw.remove(veth); err != nil {
			return err
		}
	}
	if err := gw.veth(veth, ns, ifname); err != nil {
		return err
	}
	for _, c := range []struct{ ns, name string }{{m.ns(nsGateway), veth}, {ns, ifname}} {
		if err := setSysctl(c.ns, map[string]string{"ipv6/conf/" + c.name + "/disable_ipv6": "1"}); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	// The gateway answers for every address that it routes elsewhere, at once.
	if err := setSysctl(m.ns(nsGateway), map[string]string{
		"ipv4/conf/" + veth + "/proxy_arp":      "1",
		"ipv4/neigh/" + veth + "/proxy_delay":   "0",
		"ipv4/conf/" + veth + "/send_redirects": "0",
		"ipv4/conf/" + veth + "/rp_filter":      "0",
	}); err != nil {
		return err
	}
	router := gatewayOf(subnet)
	if err := errors.Join(
		in.up("lo"), in.up(ifname), gw.up(veth),
		gw.address(veth, netip.PrefixFrom(router, 32)),
	); err != nil {
		return err
	}
	for _, a := range addrs {
		if err := in.address(ifname, netip.PrefixFrom(a, subnet.Bits())); err != nil {
			return err
		}
	}
	for _, p := range routed {
		if err := gw.route(p, veth, netip.Addr{}); err != nil {
			return err
		}
	}
	return in.route(netip.PrefixFrom(netip.IPv4Unspecified(), 0), ifname, router)
}
