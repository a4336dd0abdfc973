package oci

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/lab/cloud"
	"github.com/emqx-oci/emqx-oci/lab/providers/rpc"
	"github.com/emqx-oci/emqx-oci/lab/providers/table"
)

// fakeCloud keeps what it is given.
type fakeCloud struct {
	mu    sync.Mutex
	n     int
	all   map[string]m
	fails error
}

func (f *fakeCloud) Create(_ context.Context, token string, in map[string]any) (string, map[string]any, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fails != nil {
		return "", nil, f.fails
	}
	f.n++
	id := fmt.Sprintf("ocid1.%s.%d", strings.ToLower(token[strings.LastIndexByte(token, ':')+1:]), f.n)
	f.all[id] = maps.Clone(in)
	return id, maps.Clone(in), nil
}

func (f *fakeCloud) Read(_ context.Context, _, id string) (map[string]any, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if p, ok := f.all[id]; ok {
		return maps.Clone(p), nil
	}
	return nil, &cloud.Error{Status: 404, Code: "NotAuthorizedOrNotFound", Message: "gone"}
}

func (f *fakeCloud) Update(_ context.Context, _, id string, in map[string]any) (map[string]any, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all[id] = maps.Clone(in)
	return maps.Clone(in), nil
}

func (f *fakeCloud) Delete(_ context.Context, _, id string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.all, id)
	return f.fails
}

func (f *fakeCloud) Invoke(context.Context, string, map[string]any) (map[string]any, error) {
	return nil, f.fails
}

// haste is a pace at which what is refused is repeated for milliseconds only.
const haste = 0.0001

func TestErrorsAreSaidAsTheRealProviderSaysThem(t *testing.T) {
	f := &fakeCloud{fails: &cloud.Error{Status: 409, Code: "IncorrectState", Message: "Invalid State Transition of NLB lifeCycle state from Updating to Updating"}}
	r := table.MustParse(rows).Resources["oci:NetworkLoadBalancer/backendSet:BackendSet"]
	_, _, err := newClient(f, haste).Create(t.Context(), r, m{})
	assert.Equal(t, err.Error(), `409-IncorrectState, Invalid State Transition of NLB lifeCycle state from Updating to Updating
Suggestion: The resource is in a conflicted state. Please retry again or contact support for help with service: Network Load Balancer Backend Set
Service: Network Load Balancer Backend Set
Operation Name: CreateBackendSet`)
	var service *cloud.Error
	assert.Assert(t, errors.As(err, &service))
}

func TestGoneIsGone(t *testing.T) {
	f := &fakeCloud{all: map[string]m{}}
	r := table.MustParse(rows).Resources["oci:Core/volume:Volume"]
	_, err := newClient(f, haste).Read(t.Context(), r, "ocid1.volume.9", nil)
	assert.ErrorIs(t, err, rpc.ErrGone)
	f.fails = cloud.ErrNotFound
	assert.NilError(t, newClient(f, haste).Delete(t.Context(), r, "ocid1.volume.9", nil))
}

func TestWhatHasEndedIsGone(t *testing.T) {
	f := &fakeCloud{all: map[string]m{"v": {"state": "TERMINATED"}, "b": {"state": "DELETED"}, "x": {"state": "TERMINATING"}}}
	r := table.MustParse(rows).Resources["oci:Core/volume:Volume"]
	for _, id := range []string{"v", "b"} {
		_, err := newClient(f, haste).Read(t.Context(), r, id, nil)
		assert.ErrorIs(t, err, rpc.ErrGone)
	}
	_, err := newClient(f, haste).Read(t.Context(), r, "x", nil)
	assert.NilError(t, err)
}

// TestAnyUpdateDetachesAReservedAddress, as was measured on the official plugin: it
// leaves out the rest of the change.
func TestAnyUpdateDetachesAReservedAddress(t *testing.T) {
	r := table.MustParse(rows).Resources[privateIP]
	update := func(now, in m) m {
		f := &fakeCloud{all: map[string]m{"ip": now}}
		out, err := newClient(f, haste).Update(t.Context(), r, "ip", nil, in)
		assert.NilError(t, err)
		return out
	}
	assigned := m{"lifetime": "RESERVED", "ipState": "ASSIGNED"}
	assert.DeepEqual(t, update(assigned, m{"displayName": "new"}), m{"vnicId": ""})
	assert.DeepEqual(t, update(assigned, m{"displayName": "new", "vnicId": "v"}), m{"displayName": "new", "vnicId": "v"})
	assert.DeepEqual(t, update(m{"lifetime": "RESERVED", "ipState": "AVAILABLE"}, m{"displayName": "new"}), m{"displayName": "new"})
}

func TestARuleIsImportedByALongName(t *testing.T) {
	f := &fakeCloud{all: map[string]m{"04ABEC": {"id": "04ABEC"}}}
	r := table.MustParse(rows).Resources[securityRule]
	out, err := newClient(f, haste).Read(t.Context(), r, "networkSecurityGroups/ocid1.g/securityRules/04ABEC", nil)
	assert.NilError(t, err)
	assert.Equal(t, out["id"], "04ABEC")
}

// TestChildrenOfABalancerWaitForEachOther as those of the official provider do.
func TestChildrenOfABalancerWaitForEachOther(t *testing.T) {
	c := newClient(&fakeCloud{all: map[string]m{}}, haste)
	listener := "oci:NetworkLoadBalancer/listener:Listener"
	release := c.locks.hold(listener, "", m{"networkLoadBalancerId": "a"})
	c.locks.hold(listener, "", m{"networkLoadBalancerId": "b"})()
	c.locks.hold("oci:Core/volume:Volume", "a", nil)()
	second := make(chan struct{})
	go func() {
		c.locks.hold(backendSet, "networkLoadBalancers/a/backendSets/x", m{"networkLoadBalancerId": "a"})()
		close(second)
	}()
	select {
	case <-second:
		t.Fatal("two children of one balancer are changed at once")
	case <-time.After(20 * time.Millisecond):
	}
	release()
	<-second
}

// As terraform-provider-oci#2267: a set whose backends are resources of their own
// cannot be changed before a refresh.
func TestASetIsChangedWithTheBackendsOfItsState(t *testing.T) {
	f := &fakeCloud{all: map[string]m{"set": {"backends": []any{m{"port": 1883.0}, m{"port": 1884.0}}}}}
	c := newClient(f, haste)
	r := table.MustParse(rows).Resources[backendSet]
	_, err := c.Update(t.Context(), r, "set", m{"backends": []any{}}, m{"policy": "TWO_TUPLE"})
	assert.NilError(t, err)
	assert.DeepEqual(t, f.all["set"], m{"policy": "TWO_TUPLE", "backends": []any{m{"port": nil}, m{"port": nil}}})

	f.all["set"] = m{"backends": []any{m{"port": 1883.0}, m{"port": 1884.0}}}
	_, err = c.Update(t.Context(), r, "set", m{"backends": []any{m{"port": 1883.0}}}, m{"policy": "TWO_TUPLE"})
	assert.NilError(t, err)
	assert.DeepEqual(t, f.all["set"]["backends"], []any{m{"port": 1883.0}, m{"port": nil}})

	f.all["set"] = m{}
	_, err = c.Update(t.Context(), r, "set", m{}, m{"policy": "TWO_TUPLE"})
	assert.NilError(t, err)
	assert.DeepEqual(t, f.all["set"], m{"policy": "TWO_TUPLE"})
}
