package renew

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/emqx-oci/emqx-oci/components/certs"
	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/infra/gates"
)

// Store is where the jobs of a stack find a certificate from outside. All is required.
type Store struct {
	Variables gates.VariableClient
	// Paths are those of all jobs that may end TLS; the first is that of the one that does.
	Paths []string
	// Namespace is that of the variables, for who writes them by hand.
	Namespace string
}

// Held is what the variable of the job that ends TLS holds.
type Held struct {
	// Pair is empty where it holds none, or one that is no certificate with its key.
	Pair certs.Pair
	// Missing says that there is nothing, Fault what is wrong with what there is.
	Missing bool
	Fault   string
	// Changed is when it was written last.
	Changed time.Time
}

// HowToWrite is the command by which somebody writes the variable.
func (s Store) HowToWrite() string {
	return fmt.Sprintf("nomad var put -namespace %s %s %s=@chain.pem %s=@key.pem", s.Namespace, s.Paths[0], cluster.ItemCertificate, cluster.ItemPrivateKey)
}

// Held reads the variable. That it holds no certificate is no error.
func (s Store) Held(ctx context.Context) (Held, error) {
	v, err := s.Variables.Variable(ctx, s.Paths[0])
	if err != nil {
		return Held{}, err
	}
	h := Held{Changed: v.Changed}
	certificate, key := v.Items[cluster.ItemCertificate], v.Items[cluster.ItemPrivateKey]
	if certificate == "" && key == "" {
		h.Missing = true
		return h, nil
	}
	if h.Pair, err = certs.NewPair(certificate, key); err != nil {
		h.Fault = err.Error()
	}
	return h, nil
}

// errChanged is a variable that somebody else writes, too.
var errChanged = errors.New("somebody else writes it at the same time: run it again when that has ended")

// Put writes a pair where it is not there yet, the job that ends TLS first. Other items stay. It says whether any was written.
func (s Store) Put(ctx context.Context, p certs.Pair) (changed bool, err error) {
	for _, path := range s.Paths {
		v, err := s.Variables.Variable(ctx, path)
		if err != nil {
			return changed, err
		}
		if v.Items[cluster.ItemCertificate] == p.Certificate && v.Items[cluster.ItemPrivateKey] == p.Key {
			continue
		}
		items := map[string]string{}
		maps.Copy(items, v.Items)
		items[cluster.ItemCertificate], items[cluster.ItemPrivateKey] = p.Certificate, p.Key
		done, err := s.Variables.SetVariable(ctx, path, items, v.Version)
		if err == nil && !done {
			err = fmt.Errorf("writing variable %s: %w", path, errChanged)
		}
		if err != nil {
			return changed, err
		}
		changed = true
	}
	return changed, nil
}
