package renew

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"golang.org/x/crypto/acme"

	"github.com/emqx-oci/emqx-oci/components/certs"
	"github.com/emqx-oci/emqx-oci/infra/gates"
)

// Authority is one that speaks ACME (RFC 8555).
type Authority struct {
	// Required.

	// Directory is its https address.
	Directory string
	// Accounts keep the key by which it knows the stack, and Account is the path of that variable, which no job may read.
	Accounts gates.VariableClient
	Account  string

	// Optional.

	// Contact is an e-mail address that it may write to.
	Contact string
	// CACert are authorities of the directory's own address, as PEM, beside those of this machine.
	CACert string
}

// Prove publishes the values as TXT records of a full name and calls done as soon as they can be seen; when it returns they
// may be gone.
type Prove func(ctx context.Context, name string, values []string, done func(context.Context) error) error

// requestTimeout bounds a request to the authority, authorityTimeout all of them: it asks the zone's name servers in its
// own time, from several places.
const (
	requestTimeout   = 30 * time.Second
	authorityTimeout = 5 * time.Minute
)

// itemAccountKey is the item of the account's variable.
const itemAccountKey = "account_key"

// Obtain gets a certificate for a name, with a new key. It agrees to the authority's terms of service, so whoever calls it has
// to have.
func (a Authority) Obtain(ctx context.Context, name string, prove Prove) (certs.Pair, error) {
	ctx, cancel := context.WithTimeout(ctx, authorityTimeout)
	defer cancel()
	client, err := a.client(ctx)
	if err != nil {
		return certs.Pair{}, err
	}
	order, err := client.AuthorizeOrder(ctx, acme.DomainIDs(name))
	if err != nil {
		return certs.Pair{}, a.explain("ordering a certificate for "+name, err)
	}
	for _, url := range order.AuthzURLs {
		if err := a.authorize(ctx, client, url, prove); err != nil {
			return certs.Pair{}, err
		}
	}
	ready, err := client.WaitOrder(ctx, order.URI)
	if err != nil {
		return certs.Pair{}, a.explain("waiting for the order of a certificate for "+name, err)
	}
	return a.finish(ctx, client, order.URI, ready.FinalizeURL, name)
}

func (a Authority) finish(ctx context.Context, client *acme.Client, order, finalize, name string) (certs.Pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return certs.Pair{}, fmt.Errorf("making a key for %s: %w", name, err)
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{name}}, key)
	if err != nil {
		return certs.Pair{}, fmt.Errorf("making a certificate request for %s: %w", name, err)
	}
	chain, _, err := client.CreateOrderCert(ctx, finalize, request, true)
	if err != nil {
		// The answer need not say which order it is about (RFC 8555, 7.4), and the library would have to ask that one again.
		if done, again := client.WaitOrder(ctx, order); again == nil && done.CertURL != "" {
			chain, err = client.FetchCert(ctx, done.CertURL, true)
		}
	}
	if err != nil {
		return certs.Pair{}, a.explain("fetching the certificate for "+name, err)
	}
	var text strings.Builder
	for _, der := range chain {
		x, err := x509.ParseCertificate(der)
		if err != nil {
			return certs.Pair{}, a.explain("reading the certificate for "+name, err)
		}
		text.WriteString(certs.PEM(x))
	}
	own, err := certs.KeyPEM(key)
	if err != nil {
		return certs.Pair{}, fmt.Errorf("writing the key for %s: %w", name, err)
	}
	pair, err := certs.NewPair(text.String(), own)
	if err != nil {
		return certs.Pair{}, a.explain("reading the certificate for "+name, err)
	}
	return pair, nil
}

// authorize proves a name, unless the authority remembers it.
func (a Authority) authorize(ctx context.Context, client *acme.Client, url string, prove Prove) error {
	z, err := client.GetAuthorization(ctx, url)
	if err != nil {
		return a.explain("asking what is to be proved", err)
	}
	if z.Status == acme.StatusValid {
		return nil
	}
	var challenge *acme.Challenge
	for _, c := range z.Challenges {
		if c.Type == "dns-01" {
			challenge = c
		}
	}
	if challenge == nil {
		return fmt.Errorf("the authority at %s offers no proof by DNS (dns-01) for %s", a.Directory, z.Identifier.Value)
	}
	value, err := client.DNS01ChallengeRecord(challenge.Token)
	if err != nil {
		return a.explain("proving "+z.Identifier.Value, err)
	}
	return prove(ctx, "_acme-challenge."+z.Identifier.Value, []string{value}, func(ctx context.Context) error {
		if _, err := client.Accept(ctx, challenge); err != nil {
			return a.explain("proving "+z.Identifier.Value, err)
		}
		if _, err := client.WaitAuthorization(ctx, url); err != nil {
			return a.explain("proving "+z.Identifier.Value, err)
		}
		return nil
	})
}

// client is one that the authority knows.
func (a Authority) client(ctx context.Context) (*acme.Client, error) {
	key, err := a.accountKey(ctx)
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // the standard library's
	if a.CACert != "" {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		pool.AppendCertsFromPEM([]byte(a.CACert))
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	client := &acme.Client{Key: key, DirectoryURL: a.Directory, HTTPClient: &http.Client{Transport: transport, Timeout: requestTimeout}, UserAgent: "emqx-oci"}
	// It tries again by itself where it is told to come back later; of refusals two more are enough.
	client.RetryBackoff = func(n int, _ *http.Request, _ *http.Response) time.Duration {
		if n > 3 {
			return -1
		}
		return time.Duration(n) * time.Second
	}
	account := &acme.Account{}
	if a.Contact != "" {
		account.Contact = []string{"mailto:" + a.Contact}
	}
	if _, err := client.Register(ctx, account, acme.AcceptTOS); err != nil && !errors.Is(err, acme.ErrAccountAlreadyExists) {
		return nil, a.explain("registering with it", err)
	}
	return client, nil
}

// accountKey is the one of the stack's account, made at the first call.
func (a Authority) accountKey(ctx context.Context) (crypto.Signer, error) {
	v, err := a.Accounts.Variable(ctx, a.Account)
	if err != nil {
		return nil, err
	}
	if text := v.Items[itemAccountKey]; text != "" {
		key, err := certs.ReadSigner(text)
		if err != nil {
			return nil, fmt.Errorf("reading %s of the Nomad variable %s: %w; take it away for a new account", itemAccountKey, a.Account, err)
		}
		return key, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the key of an account: %w", err)
	}
	text, err := certs.KeyPEM(key)
	if err != nil {
		return nil, fmt.Errorf("writing the key of an account: %w", err)
	}
	done, err := a.Accounts.SetVariable(ctx, a.Account, map[string]string{itemAccountKey: text}, v.Version)
	if err == nil && !done {
		err = fmt.Errorf("writing variable %s: %w", a.Account, errChanged)
	}
	return key, err
}

// explain says who refused what, in the authority's own words.
func (a Authority) explain(doing string, err error) error {
	var refused *acme.AuthorizationError
	if errors.As(err, &refused) {
		var why []string
		for _, e := range refused.Errors {
			why = append(why, gates.OneLine(e.Error()))
		}
		err = errors.New(strings.Join(why, "; "))
	}
	return fmt.Errorf("%s: the authority at %s: %w", doing, a.Directory, err)
}
