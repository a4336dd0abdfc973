package oci

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"

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

func TestErrorsAreSaidAsTheRealProviderSaysThem(t *testing.T) {
	f := &fakeCloud{fails: &cloud.Error{Status: 409, Code: "IncorrectState", Message: "Invalid State Transition of NLB lifeCycle state from Updating to Updating"}}
	r := table.MustParse(rows).Resources["oci:NetworkLoadBalancer/backendSet:BackendSet"]
	_, _, err := client{f}.Create(t.Context(), r, m{})
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
	_, err := client{f}.Read(t.Context(), r, "ocid1.volume.9", nil)
	assert.ErrorIs(t, err, rpc.ErrGone)
	f.fails = cloud.ErrNotFound
	assert.NilError(t, client{f}.Delete(t.Context(), r, "ocid1.volume.9", nil))
}
