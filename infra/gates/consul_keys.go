package gates

import (
	"context"

	consul "github.com/hashicorp/consul/api"
)

// KeyClient reads and writes keys of Consul.
type KeyClient interface {
	// Key reads a key; version is 0 when there is none.
	Key(ctx context.Context, key string) (value string, version uint64, err error)
	// SetKey writes a key, unless it is another version than this by now; 0 is none. It says whether it was written.
	SetKey(ctx context.Context, key, value string, version uint64) (bool, error)
}

// NewKeys returns a client of Consul's keys. Its token needs key:write for what is written.
func NewKeys(c ConsulConfig) (KeyClient, error) {
	client, err := NewConsul(c)
	if err != nil {
		return nil, err
	}
	return client.(*consulClient), nil //nolint:forcetypeassert // NewConsul returns no other
}

func (c *consulClient) Key(ctx context.Context, key string) (string, uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	pair, _, err := c.api.KV().Get(key, (&consul.QueryOptions{RequireConsistent: true}).WithContext(ctx))
	if err != nil || pair == nil {
		return "", 0, c.explain("key "+key, err)
	}
	return string(pair.Value), pair.ModifyIndex, nil
}

func (c *consulClient) SetKey(ctx context.Context, key, value string, version uint64) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	done, _, err := c.api.KV().CAS(&consul.KVPair{Key: key, Value: []byte(value), ModifyIndex: version}, (&consul.WriteOptions{}).WithContext(ctx))
	return done, c.explain("key "+key, err)
}
