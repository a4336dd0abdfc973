package cloud

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Snapshot is the present state, for people.
type Snapshot struct {
	Instances []InstanceStatus `json:"instances"`
	Volumes   []VolumeStatus   `json:"volumes"`
	Addresses []AddressStatus  `json:"addresses"`
	Balancers []BalancerStatus `json:"balancers"`
	Records   []Record         `json:"records"`
	// Unclaimed are resources whose creation nobody waited for to the end, and which
	// nobody has read since: a program was cut off.
	Unclaimed []string `json:"unclaimed"`
}

// InstanceStatus is one instance.
type InstanceStatus struct {
	ID                 string    `json:"id"`
	Name               string    `json:"name"`
	Pool               string    `json:"pool"`            // display name
	Index              string    `json:"index,omitempty"` // its tag group-index
	AvailabilityDomain string    `json:"availabilityDomain"`
	State              string    `json:"state"`
	Reason             string    `json:"reason,omitempty"` // why it ends
	Address            string    `json:"address"`          // primary
	Reserved           []string  `json:"reserved"`         // addresses it has claimed
	Created            time.Time `json:"created"`
}

// VolumeStatus is one volume.
type VolumeStatus struct {
	ID                 string `json:"id"`
	Name               string `json:"name"`
	Index              string `json:"index,omitempty"` // its tag group-index
	SizeGB             int    `json:"sizeGB"`
	AvailabilityDomain string `json:"availabilityDomain"`
	State              string `json:"state"`
	Instance           string `json:"instance,omitempty"` // id of the one it is attached to
	Device             string `json:"device,omitempty"`
}

// AddressStatus is one reserved private address.
type AddressStatus struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Address  string `json:"address"`
	Instance string `json:"instance,omitempty"` // id of the one that has claimed it
}

// BalancerStatus is one load balancer, of either service.
type BalancerStatus struct {
	ID      string      `json:"id"`
	Name    string      `json:"name"`
	State   string      `json:"state"`
	Public  string      `json:"public,omitempty"`
	Private string      `json:"private"`
	Sets    []SetStatus `json:"backendSets"`
}

// SetStatus is one backend set with the ports that lead to it.
type SetStatus struct {
	Name     string          `json:"name"`
	Health   string          `json:"health"`
	Ports    []int           `json:"ports"`
	Backends []BackendStatus `json:"backends"`
}

// BackendStatus is one backend.
type BackendStatus struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	Port    int    `json:"port"`
	Health  string `json:"health"`
	Check   string `json:"check,omitempty"` // result of the last health check
}

// Snapshot returns a copy of the present state, each list in the order of names.
func (c *Cloud) Snapshot() Snapshot {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.s
	out := Snapshot{Records: s.records()}
	byVNIC := map[string]string{}
	for _, i := range s.instances() {
		status := InstanceStatus{
			ID: i.ID, Name: i.Name, Index: i.Tags["group-index"], AvailabilityDomain: i.AD, State: i.State, Reason: i.Reason, Address: i.Address, Created: i.Created,
		}
		if p, ok := s.Resources[i.Pool]; ok {
			status.Pool = nameOf(p)
		}
		for _, a := range s.addresses(i)[1:] {
			status.Reserved = append(status.Reserved, a.String())
		}
		byVNIC[i.VNIC] = i.ID
		out.Instances = append(out.Instances, status)
	}
	for _, r := range s.of(typeVolume) {
		v := VolumeStatus{ID: r.ID, Name: nameOf(r), Index: tagsOf(r.In, "freeformTags")["group-index"], SizeGB: volumeGB(r.In), AvailabilityDomain: str(r.In, "availabilityDomain"), State: r.State}
		if a := s.attachmentOf(r.ID); a != nil {
			v.Instance, v.Device = a.Instance, a.Device
		}
		out.Volumes = append(out.Volumes, v)
	}
	for _, r := range s.of(typePrivateIP) {
		out.Addresses = append(out.Addresses, AddressStatus{ID: r.ID, Name: nameOf(r), Address: r.Address, Instance: byVNIC[r.VNIC]})
	}
	for _, r := range slices.Concat(s.of(typeBalancer), s.of(typeFlexBalancer)) {
		b := BalancerStatus{ID: r.ID, Name: str(r.In, "displayName"), State: r.State, Public: r.Public, Private: r.Address}
		for _, set := range s.sets() {
			if parentOf(set) == r.ID {
				b.Sets = append(b.Sets, s.setStatus(set))
			}
		}
		out.Balancers = append(out.Balancers, b)
	}
	for id, r := range s.Resources {
		if op := c.inflight[id]; !r.Acked && (op == nil || op.left) {
			out.Unclaimed = append(out.Unclaimed, id)
		}
	}
	out.sort()
	return out
}

// sort brings the lists into the order that people look for things in: by name,
// and several of one name (an instance and the one that follows it) by age.
func (s *Snapshot) sort() {
	slices.SortStableFunc(s.Instances, func(a, b InstanceStatus) int { return byName(a.Name, b.Name) })
	slices.SortStableFunc(s.Volumes, func(a, b VolumeStatus) int { return byName(a.Name, b.Name) })
	slices.SortStableFunc(s.Addresses, func(a, b AddressStatus) int { return byName(a.Name, b.Name) })
	slices.Sort(s.Unclaimed)
}

// byName puts emqx-lab-2 before emqx-lab-10.
func byName(a, b string) int {
	head, i := index(a)
	other, j := index(b)
	if head == other && i != j {
		return cmp.Compare(i, j)
	}
	return cmp.Compare(a, b)
}

// index splits a name before the number that it ends in; -1 when there is none.
func index(name string) (head string, n int) {
	head = strings.TrimRight(name, "0123456789")
	n, err := strconv.Atoi(name[len(head):])
	if err != nil {
		return name, -1
	}
	return head, n
}

func (s *state) setStatus(set *resource) SetStatus {
	backends := s.backends(parentOf(set), childName(set))
	out := SetStatus{Name: childName(set), Health: setHealth(backends)}
	for _, l := range slices.Concat(s.of(typeListener), s.of(typeFlexListener)) {
		if parentOf(l) == parentOf(set) && str(l.In, "defaultBackendSetName") == out.Name {
			out.Ports = append(out.Ports, wholeOr(l.In, "port", 0))
		}
	}
	for _, b := range backends {
		status := BackendStatus{Name: childName(b), Port: wholeOr(b.In, "port", 0), Health: backendHealth(b), Check: b.Check}
		if a, ok := s.backendAddress(b); ok {
			status.Address = a.String()
		}
		out.Backends = append(out.Backends, status)
	}
	return out
}
