package preflight

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/emqx-oci/emqx-oci/components/settings"
)

// jwksTime is how long an address of keys may take.
const jwksTime = 3 * time.Second

// jwks asks where keys of tokens are, as EMQX does: from another place, so that nothing follows for certain.
func jwks(s settings.Settings, _ time.Time, r *Report) {
	if s.Auth.Anonymous {
		return
	}
	for i, x := range s.Auth.Authenticators {
		if x.JWKS == "" {
			continue
		}
		if what := jwksFault(x.JWKS, x.CA); what != "" {
			r.Warnf(Setting(fmt.Sprintf("auth.authenticators[%d].jwks", i)),
				"should answer with keys, got %s: EMQX asks it from the nodes, and where it gets none refuses every token", what)
		}
	}
}

// jwksFault says what came in the place of keys.
func jwksFault(address, ca string) string {
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // It is what net/http has there.
	transport.DisableKeepAlives = true
	if ca != "" {
		transport.TLSClientConfig = &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
		if !transport.TLSClientConfig.RootCAs.AppendCertsFromPEM([]byte(ca)) {
			return "" // a fault of the settings
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), jwksTime)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return "" // a fault of the settings
	}
	answer, err := (&http.Client{Transport: transport}).Do(q)
	if err != nil {
		return "an error: " + err.Error()
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return "HTTP " + answer.Status
	}
	var set struct{ Keys []json.RawMessage }
	if err := json.NewDecoder(io.LimitReader(answer.Body, 1<<20)).Decode(&set); err != nil {
		return "text that is no JSON"
	}
	if len(set.Keys) == 0 {
		return "a set of no keys"
	}
	return ""
}
