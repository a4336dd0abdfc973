package cloud

import (
	"strings"
)

var balancerKind = kind{
	noun: "networkloadbalancer", starting: creating, ready: active,
	balancer: func(r *resource) string { return r.ID },
	check: func(s *state, _ string, in, old Props) error {
		if err := need(in, "compartmentId", "displayName", "subnetId"); err != nil {
			return err
		}
		net, ok := findSubnet(str(in, "subnetId"))
		if !ok {
			return notFound(str(in, "subnetId"))
		}
		if !net.public && !flag(in, "isPrivate", false) {
			return invalid("subnet %s is private, so isPrivate must be true", net.name)
		}
		if err := oneOf(in, "nlbIpVersion", "IPV4"); err != nil {
			return err
		}
		if len(list(in, "reservedIps")) > 0 {
			return &Error{501, "NotImplemented", "the lab has no reserved public addresses"}
		}
		if old != nil {
			for _, k := range []string{"subnetId", "isPrivate"} {
				if in[k] != old[k] {
					return invalid("%s of a network load balancer cannot be changed", k)
				}
			}
		}
		return checkGroups(s, strs(in, "networkSecurityGroupIds"))
	},
	record: func(s *state, r *resource) error {
		net, _ := findSubnet(str(r.In, "subnetId"))
		private, ok := s.free(net.prefix, firstReserved, lastReserved)
		if !ok {
			return &Error{400, "LimitExceeded", "subnet " + net.name + " has no free address left"}
		}
		r.Address = private.String()
		if flag(r.In, "isPrivate", false) {
			return nil
		}
		public, ok := s.free(publicAddresses, firstReserved, 254)
		if !ok {
			return &Error{400, "LimitExceeded", "no public address is left"}
		}
		r.Public = public.String()
		return nil
	},
	onDelete: func(s *state, r *resource) {
		for id, o := range s.Resources {
			if str(o.In, "networkLoadBalancerId") == r.ID {
				delete(s.Resources, id)
			}
		}
	},
	view: func(_ *state, r *resource) Props {
		addresses := []any{Props{"ipAddress": r.Address, "ipVersion": "IPV4", "isPublic": false, "reservedIps": []any{}}}
		if r.Public != "" {
			addresses = append([]any{Props{"ipAddress": r.Public, "ipVersion": "IPV4", "isPublic": true, "reservedIps": []any{}}}, addresses...)
		}
		return Props{
			"id": r.ID, "compartmentId": str(r.In, "compartmentId"), "displayName": str(r.In, "displayName"),
			"subnetId": str(r.In, "subnetId"), "isPrivate": flag(r.In, "isPrivate", false), "ipAddresses": addresses,
			"isPreserveSourceDestination": flag(r.In, "isPreserveSourceDestination", false), "isSymmetricHashEnabled": false,
			"networkSecurityGroupIds": orEmptyList(list(r.In, "networkSecurityGroupIds")), "nlbIpVersion": "IPV4",
			"definedTags": orEmptyMap(sub(r.In, "definedTags")), "freeformTags": orEmptyMap(sub(r.In, "freeformTags")),
			"systemTags": Props{}, "securityAttributes": Props{}, "lifecycleDetails": "", "state": r.State,
			"timeCreated": stamp(r.Created), "timeUpdated": stamp(r.Updated),
		}
	},
}

// parentOf is the balancer of a backend set, backend or listener.
func parentOf(r *resource) string {
	return strOr(r.In, "networkLoadBalancerId", str(r.In, "loadBalancerId"))
}

// setOf is the name of a backend's set.
func setOf(r *resource) string { return strOr(r.In, "backendSetName", str(r.In, "backendsetName")) }

// childName is the name of a backend set, backend or listener.
func childName(r *resource) string {
	switch r.Token {
	case typeFlexBackend:
		return endName(r.In)
	case typeCertificate:
		return str(r.In, "certificateName")
	}
	return strOr(r.In, "name", r.Name)
}

// child finds one of a balancer's parts by name; set is for backends.
func (s *state) child(token, nlb, set, name string) (*resource, bool) {
	for _, r := range s.of(token) {
		if parentOf(r) == nlb && childName(r) == name && (token != typeBackend && token != typeFlexBackend || setOf(r) == set) && r.State != terminating {
			return r, true
		}
	}
	return nil, false
}

// checkChild is common to all three: the balancer exists, the name is free and kept.
func checkChild(s *state, token, id string, in, old Props) error {
	if err := need(in, "networkLoadBalancerId"); err != nil {
		return err
	}
	nlb := str(in, "networkLoadBalancerId")
	if _, ok := s.get(typeBalancer, nlb); !ok {
		return notFound(nlb)
	}
	if old != nil {
		for _, k := range []string{"networkLoadBalancerId", "name", "backendSetName"} {
			if in[k] != nil && old[k] != nil && in[k] != old[k] {
				return invalid("%s cannot be changed", k)
			}
		}
	}
	name := str(in, "name")
	if len(name) > 255 || strings.ContainsAny(name, " /") {
		return invalid("name %q must have no blanks or slashes and at most 255 characters", name)
	}
	if name == "" {
		return nil
	}
	if r, ok := s.child(token, nlb, str(in, "backendSetName"), name); ok && r.ID != id {
		return &Error{409, "NotAuthorizedOrResourceAlreadyExists", "Conflict. For nlb-id " + nlb + " the name " + name + " is taken already"}
	}
	return nil
}

// randomName is what the official provider puts where a program gave no name.
func randomName(r *resource, noun string) {
	if str(r.In, "name") == "" {
		r.Name = noun + "-" + randomSuffix(7)
	}
}

var backendSetKind = kind{
	noun: "backendset", starting: creating, ready: active,
	balancer: parentOf,
	id: func(r *resource) string {
		return "networkLoadBalancers/" + parentOf(r) + "/backendSets/" + childName(r)
	},
	check: func(s *state, id string, in, old Props) error {
		if err := checkChild(s, typeBackendSet, id, in, old); err != nil {
			return err
		}
		if err := need(in, "policy"); err != nil {
			return err
		}
		if err := oneOf(in, "policy", "FIVE_TUPLE", "THREE_TUPLE", "TWO_TUPLE"); err != nil {
			return err
		}
		if err := oneOf(in, "ipVersion", "IPV4"); err != nil {
			return err
		}
		if err := checkHealthChecker(in); err != nil {
			return err
		}
		return checkBackends(s, in)
	},
	record:  func(_ *state, r *resource) error { randomName(r, "backendset"); return nil },
	placed:  fill,
	passing: "backends",
	held: func(s *state, r *resource) error {
		for _, l := range s.of(typeListener) {
			if parentOf(l) == parentOf(r) && str(l.In, "defaultBackendSetName") == childName(r) && l.State != terminating {
				return conflict("Backend set %s is used by listener %s", childName(r), childName(l))
			}
		}
		return nil
	},
	onDelete: func(s *state, r *resource) {
		for _, b := range s.backends(parentOf(r), childName(r)) {
			delete(s.Resources, b.ID)
		}
	},
	view: func(s *state, r *resource) Props {
		backends := []any{}
		for _, b := range s.backends(parentOf(r), childName(r)) {
			backend := viewBackend(s, b)
			for _, k := range []string{"id", "networkLoadBalancerId", "backendSetName"} {
				delete(backend, k) // the path says so
			}
			backends = append(backends, backend)
		}
		checker := clone(sub(r.In, "healthChecker"))
		for k, v := range map[string]any{"intervalInMillis": 10000, "timeoutInMillis": 3000, "retries": 3, "port": 0} {
			if checker[k] == nil {
				checker[k] = v
			}
		}
		if p := str(checker, "protocol"); p == "HTTP" || p == "HTTPS" {
			checker["returnCode"], checker["urlPath"] = wholeOr(checker, "returnCode", 200), strOr(checker, "urlPath", "/")
		}
		return Props{
			"id": r.ID, "name": childName(r), "networkLoadBalancerId": parentOf(r), "policy": str(r.In, "policy"),
			"backends": backends, "healthChecker": checker, "ipVersion": "IPV4",
			"isPreserveSource": flag(r.In, "isPreserveSource", true), "isFailOpen": flag(r.In, "isFailOpen", false),
			"isInstantFailoverEnabled":                flag(r.In, "isInstantFailoverEnabled", false),
			"isInstantFailoverTcpResetEnabled":        flag(r.In, "isInstantFailoverTcpResetEnabled", false),
			"areOperationallyActiveBackendsPreferred": flag(r.In, "areOperationallyActiveBackendsPreferred", false),
		}
	},
}

func checkHealthChecker(in Props) error {
	checker := sub(in, "healthChecker")
	if checker == nil {
		return &Error{400, "MissingParameter", "healthChecker is required"}
	}
	if err := need(checker, "protocol"); err != nil {
		return err
	}
	if err := oneOf(checker, "protocol", "HTTP", "HTTPS", "TCP", "UDP", "DNS"); err != nil {
		return err
	}
	protocol := str(checker, "protocol")
	if protocol == "UDP" || protocol == "DNS" {
		return &Error{501, "NotImplemented", "the lab does not simulate health checks by " + protocol}
	}
	if protocol != "TCP" && str(checker, "urlPath") == "" {
		return &Error{400, "MissingParameter", "healthChecker.urlPath is required for protocol " + protocol}
	}
	if p := str(checker, "urlPath"); p != "" && p[0] != '/' {
		return invalid("healthChecker.urlPath must begin with a slash, got %q", p)
	}
	if r := str(checker, "responseBodyRegex"); r != "" && r != ".*" && r != "^.*$" {
		return &Error{501, "NotImplemented", "the lab's health checks do not look at bodies (responseBodyRegex)"}
	}
	for _, l := range []struct {
		key       string
		low, high int
	}{
		{"port", 0, 65535}, {"intervalInMillis", 1000, 1800000}, {"timeoutInMillis", 1, 600000}, {"retries", 1, 10}, {"returnCode", 100, 599},
	} {
		if err := within(checker, l.key, l.low, l.high); err != nil {
			return inside("healthChecker", err)
		}
	}
	return nil
}
