package broker

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// webhook is the authenticator that asks a server, emqx_authn_http.
type webhook struct {
	method  string // GET, POST
	url     *url.URL
	headers map[string]string
	body    map[string]string
	client  *http.Client
}

func readWebhook(f *fields) (*webhook, error) {
	// Those of the connector's pool have no effect here.
	f.ignore("pool_size", "enable_pipelining", "max_retries", "retry_interval", "request", "max_inactive")
	h := &webhook{method: strings.ToUpper(f.oneOf("method", "", "get", "post")), headers: map[string]string{}, body: f.pairs("body")}
	f.duration("connect_timeout", 15*time.Second)
	given := f.pairs("headers")
	if len(given) == 0 {
		given = map[string]string{
			"accept": "application/json", "cache-control": "no-cache", "connection": "keep-alive",
			"keep-alive": "timeout=30, max=1000", "content-type": "application/json",
		}
	}
	for name, v := range given {
		h.headers[strings.ToLower(name)] = v
	}
	if h.method == http.MethodGet {
		delete(h.headers, "content-type")
	} else if h.headers["content-type"] == "" {
		h.headers["content-type"] = "application/json"
	}
	address := f.needText("url")
	var err error
	if h.url, err = url.Parse(address); err != nil || h.url.Host == "" || h.url.User != nil || h.url.Fragment != "" {
		f.fault("url", "invalid_url %q: want scheme, host and no user or fragment", address)
	}
	client, err := readHTTPClient(f, f.duration("request_timeout", 5*time.Second))
	h.client = client
	if ssl, _ := f.m["ssl"].(map[string]any); strings.HasPrefix(address, "https://") && ssl["enable"] == false {
		f.fault("ssl", "invalid_ssl_opts: it's required to enable the TLS option to establish a https connection")
	}
	return h, errors.Join(f.done(), err)
}

func (h *webhook) defaults() map[string]any {
	return map[string]any{"request_timeout": "5s", "body": map[string]any{}}
}

// readHTTPClient reads ssl as EMQX's clients have it: by default it verifies nothing.
func readHTTPClient(f *fields, timeout time.Duration) (*http.Client, error) {
	conf := &tls.Config{InsecureSkipVerify: true} //nolint:gosec // EMQX's default, verify_none
	transport := &http.Transport{TLSClientConfig: conf, MaxIdleConnsPerHost: 8, IdleConnTimeout: time.Minute}
	client := &http.Client{
		Timeout: timeout, Transport: transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	s := f.section("ssl")
	if s == nil {
		return client, nil
	}
	s.flag("enable", true)
	s.ignore("ciphers", "versions", "depth", "password", "hibernate_after", "log_level", "middlebox_comp_mode", "reuse_sessions",
		"secure_renegotiate", "user_lookup_fun", "partial_chain", "verify_peer_ext_key_usage")
	conf.InsecureSkipVerify = s.oneOf("verify", "verify_none", "verify_none", "verify_peer") == "verify_none"
	if name := s.text("server_name_indication", ""); name != "" && name != "disable" {
		conf.ServerName = name
	}
	if ca := s.text("cacertfile", ""); ca != "" {
		// EMQX goes on without a file that is not there, and then nobody is verified
		// (emqx_tls_lib:to_client_opts): it starts, and each question fails.
		pem, err := textOrFile(ca)
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(pem) && err == nil {
			s.fault("cacertfile", "no certificate in it")
		}
	}
	cert, key := s.text("certfile", ""), s.text("keyfile", "")
	if cert != "" || key != "" {
		c, err1 := textOrFile(cert)
		k, err2 := textOrFile(key)
		pair, err := tls.X509KeyPair(c, k)
		if err := errors.Join(err1, err2, err); err != nil {
			s.fault("certfile", "%w", err)
		}
		conf.Certificates = []tls.Certificate{pair}
	}
	return client, s.done()
}

// textOrFile takes PEM as it comes by the API, or the path of a file with it.
func textOrFile(s string) ([]byte, error) {
	if strings.Contains(s, "-----BEGIN") {
		return []byte(s), nil
	}
	return os.ReadFile(places{env: os.Environ()}.expand(s))
}

// mostAnswer bounds what is read of an answer.
const mostAnswer = 1 << 20

func answer(client *http.Client, req *http.Request) (code int, contentType string, content []byte, err error) {
	r, err := client.Do(req)
	if err != nil {
		return 0, "", nil, err
	}
	defer func() { _ = r.Body.Close() }()
	content, err = io.ReadAll(io.LimitReader(r.Body, mostAnswer))
	return r.StatusCode, r.Header.Get("Content-Type"), content, err
}

// request fills in the placeholders: those that the client has no value for are empty. With
// GET the body's fields are in the query (emqx_auth_utils:generate_request).
func (h *webhook) request(n *node, render func(template string, escape func(string) string) string) (*http.Request, error) {
	fill := func(template string) string { return render(template, func(s string) string { return s }) }
	to := *h.url
	rendered := render(h.url.Path, url.QueryEscape)
	to.RawPath, to.Path = rendered, ""
	var err error
	if to.Path, err = url.PathUnescape(rendered); err != nil {
		return nil, err
	}
	query := url.Values{}
	for name, values := range h.url.Query() {
		for _, v := range values {
			query.Add(fill(name), fill(v))
		}
	}
	fields := map[string]string{}
	for name, v := range h.body {
		fields[name] = fill(v)
	}
	var body []byte
	switch {
	case h.method == http.MethodGet:
		for name, v := range fields {
			query.Add(name, v)
		}
	case h.headers["content-type"] == "application/json":
		if body, err = json.Marshal(fields); err != nil {
			return nil, err
		}
	case h.headers["content-type"] == "application/x-www-form-urlencoded":
		form := url.Values{}
		for name, v := range fields {
			form.Set(name, v)
		}
		body = []byte(form.Encode())
	default:
		return nil, fmt.Errorf("unknown_content_type_header_value %s", h.headers["content-type"])
	}
	to.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(n.ctx, h.method, to.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for name, v := range h.headers {
		req.Header.Set(name, fill(v))
	}
	return req, nil
}

// authenticate takes 200 with a result and 204, which allows. All else, a server that does
// not answer too, leaves the client to the next authenticator (emqx_authn_http).
func (h *webhook) authenticate(n *node, who *principal) verdict {
	if who.enhanced {
		return ignored
	}
	req, err := h.request(n, func(template string, escape func(string) string) string {
		s, _ := who.renderEach(template, authnPlaceholders, escape)
		return s
	})
	if err != nil {
		n.log.Error("generate_http_request_failed", "reason", err.Error())
		return ignored
	}
	code, contentType, content, err := answer(h.client, req)
	switch {
	case err != nil:
		n.log.Warn("http authentication fails", "reason", err.Error())
		return ignored
	case code == http.StatusNoContent:
		return verdict{}
	case code != http.StatusOK:
		return ignored
	}
	fields, err := answerFields(contentType, content)
	if err != nil {
		return ignored
	}
	switch fields["result"] {
	case "allow":
		return allowedBy(fields)
	case "deny":
		return refusedWith(packets.ErrNotAuthorized)
	}
	return ignored
}

func answerFields(contentType string, content []byte) (map[string]any, error) {
	out := map[string]any{}
	switch {
	case strings.HasPrefix(contentType, "application/json"):
		return out, json.Unmarshal(content, &out)
	case strings.HasPrefix(contentType, "application/x-www-form-urlencoded"):
		form, err := url.ParseQuery(string(content))
		for name := range form {
			out[name] = form.Get(name)
		}
		return out, err
	}
	return nil, errors.New("unsupported_content_type")
}

// allowedBy reads what else an answer says: is_superuser, acl, and expire_at in seconds,
// when the connection ends. What is wrong in it refuses the client (extract_auth_data).
func allowedBy(fields map[string]any) verdict {
	bad := refusedWith(packets.ErrBadUsernameOrPassword)
	v := verdict{superuser: truthy(fields["is_superuser"])}
	expire, has := fields["expire_at"]
	if has {
		n, ok := expire.(float64)
		now := time.Now()
		if !ok || n != float64(int64(n)) || int64(n) < now.Unix() || int64(n) > now.UnixMilli()/2 {
			return bad
		}
		v.expireAt = time.Unix(int64(n), 0)
	}
	if acl, ok := fields["acl"]; ok {
		list, ok := acl.([]any)
		if !ok {
			return bad
		}
		rules, err := rulesOfClaim(list)
		if err != nil {
			return bad
		}
		v.claims = rules
		if has {
			v.claims.expires, v.claims.until = true, v.expireAt.Unix()
		}
	}
	return v
}

// authzPlaceholders are those that a question about a right may have (emqx_authz_http.erl).
var authzPlaceholders = []string{"username", "clientid", "peerhost", "topic", "action", "cert_subject", "cert_common_name", "qos", "retain"}

// decide asks about a right: 204 and a result of allow or deny are answers, and anything else
// is none (emqx_authz_http:authorize).
func (h *webhook) decide(n *node, who *principal, do action, topic string) *bool {
	known := map[string]string{"topic": topic, "action": "subscribe", "qos": strconv.Itoa(int(do.qos)), "retain": strconv.FormatBool(do.retain)}
	if do.publish {
		known["action"] = "publish"
	}
	req, err := h.request(n, func(template string, escape func(string) string) string {
		return placeholderRE.ReplaceAllStringFunc(template, func(p string) string {
			if v, ok := known[p[2:len(p)-1]]; ok {
				return escape(v)
			}
			s, _ := who.renderEach(p, authzPlaceholders, escape)
			return s
		})
	})
	if err != nil {
		n.log.Error("http_request_generation_failed", "reason", err.Error())
		return nil
	}
	allow := true
	code, contentType, content, err := answer(h.client, req)
	switch {
	case err != nil:
		n.log.Error("http_server_query_failed", "reason", err.Error())
		return nil
	case code == http.StatusNoContent:
		return &allow
	case code != http.StatusOK:
		return nil
	}
	fields, err := answerFields(contentType, content)
	if err != nil || fields["result"] != "allow" && fields["result"] != "deny" {
		return nil
	}
	allow = fields["result"] == "allow"
	return &allow
}
