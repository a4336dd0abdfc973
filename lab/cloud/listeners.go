package cloud

var listenerKind = kind{
	noun: "listener", starting: creating, ready: active,
	balancer: parentOf,
	id:       func(r *resource) string { return "networkLoadBalancers/" + parentOf(r) + "/listeners/" + childName(r) },
	check: func(s *state, id string, in, old Props) error {
		if err := checkChild(s, typeListener, id, in, old); err != nil {
			return err
		}
		if err := need(in, "defaultBackendSetName", "protocol"); err != nil {
			return err
		}
		if err := oneOf(in, "protocol", "ANY", "TCP", "UDP", "TCP_AND_UDP", "L3IP"); err != nil {
			return err
		}
		if p := str(in, "protocol"); p != "TCP" {
			return &Error{501, "NotImplemented", "the lab's balancers serve TCP only, not " + p}
		}
		if flag(in, "isPpv2enabled", false) {
			return &Error{501, "NotImplemented", "the lab's balancers pass packets through and add no PROXY protocol (isPpv2enabled)"}
		}
		nlb := str(in, "networkLoadBalancerId")
		if set := str(in, "defaultBackendSetName"); set != "" {
			if _, ok := s.child(typeBackendSet, nlb, "", set); !ok {
				return notFound("backend set " + set + " of " + nlb)
			}
		}
		if err := checkPort(in); err != nil {
			return err
		}
		if err := within(in, "tcpIdleTimeout", minIdleSeconds, maxIdleSeconds); err != nil {
			return err
		}
		for _, l := range s.of(typeListener) {
			if parentOf(l) == nlb && l.ID != id && wholeOr(l.In, "port", 0) == wholeOr(in, "port", 0) {
				return conflict("Port %d is used by listener %s already", wholeOr(in, "port", 0), childName(l))
			}
		}
		return nil
	},
	record: func(_ *state, r *resource) error { randomName(r, "listener"); return nil },
	view: func(_ *state, r *resource) Props {
		return Props{
			"id": r.ID, "name": childName(r), "networkLoadBalancerId": parentOf(r), "port": wholeOr(r.In, "port", 0),
			"protocol": str(r.In, "protocol"), "defaultBackendSetName": str(r.In, "defaultBackendSetName"), "ipVersion": "IPV4",
			"isPpv2enabled": false, "tcpIdleTimeout": wholeOr(r.In, "tcpIdleTimeout", defaultIdleSeconds),
			"udpIdleTimeout": 120, "l3ipIdleTimeout": 200,
		}
	},
}

// An idle TCP flow through a network load balancer is forgotten after this many
// seconds. Oracle documents the default (360 s) and examples up to 1200 s, but no
// range; the upper end is an assumption.
const (
	defaultIdleSeconds = 360
	minIdleSeconds     = 1
	maxIdleSeconds     = 1800
)
