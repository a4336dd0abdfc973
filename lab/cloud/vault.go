package cloud

import (
	"context"
	"encoding/base64"
	"strconv"

	"github.com/emqx-oci/emqx-oci/internal/ocicli"
)

const getSecretbundle = "oci:Secrets/getSecretbundle:getSecretbundle" //nolint:gosec // a function's name

func init() {
	functions[getSecretbundle] = func(s *state, args Props) (Props, error) {
		version, _, err := whole(args, "versionNumber")
		if err != nil {
			return nil, err
		}
		b, err := s.bundle(str(args, "secretId"), version)
		if err != nil {
			return nil, err
		}
		out := b.view()
		out["id"] = b.secret
		return out, nil
	}
}

// bundle is one version of a secret.
type bundle struct {
	secret, content string
	number          int
	stages          []any
}

func (b bundle) view() Props {
	return Props{
		"secretId": b.secret, "versionNumber": strconv.Itoa(b.number), "versionName": "", "stages": b.stages, "metadata": Props{},
		"secretBundleContents": []any{Props{"contentType": "BASE64", "content": b.content}},
		"timeCreated":          fixedCreated, "timeOfDeletion": "", "timeOfExpiry": "",
	}
}

// versions are what a secret has been, the first one first, in base64.
func (s *state) versions(id string) []string {
	var first []string
	if content, ok := s.given[id]; ok {
		first = []string{base64.StdEncoding.EncodeToString([]byte(content))}
	}
	return append(first, s.Secrets[id]...)
}

// bundle gives a version of a secret; 0 is the current one, which is the last.
func (s *state) bundle(id string, number int) (bundle, error) {
	all := s.versions(id)
	if number == 0 {
		number = len(all)
	}
	if number < 1 || number > len(all) {
		return bundle{}, notFound(id)
	}
	b := bundle{secret: id, content: all[number-1], number: number}
	switch number {
	case len(all):
		b.stages = []any{"CURRENT", "LATEST"}
	case len(all) - 1:
		b.stages = []any{"PREVIOUS"}
	default:
		b.stages = []any{"DEPRECATED"}
	}
	return b, nil
}

// PutSecret makes a new version of a secret of the lab's vault, which is the current one from then on.
func (c *Cloud) PutSecret(id, content string) error {
	if _, err := base64.StdEncoding.DecodeString(content); err != nil || content == "" {
		return invalid("the content of secret %s must be base64", id)
	}
	return c.change(func(s *state) error {
		if _, ok := s.given[id]; !ok && id != CertificateSecretID {
			return notFound(id)
		}
		if s.Secrets == nil {
			s.Secrets = map[string][]string{}
		}
		s.Secrets[id] = append(s.Secrets[id], content)
		return nil
	})
}

// getSecret is what an instance reads.
func getSecret(_ context.Context, c *Cloud, call *ocicli.Call) (a *answer, err error) {
	number := 0
	if text := call.Option("version-number"); text != "" {
		if number, err = strconv.Atoi(text); err != nil {
			return nil, invalid("version-number %q", text)
		}
	}
	c.read(func(s *state) {
		var b bundle
		if b, err = s.bundle(call.Option("secret-id"), number); err != nil {
			return
		}
		a = &answer{
			data: Props{
				"secret-id": b.secret, "version-number": b.number, "version-name": nil, "stages": b.stages,
				"secret-bundle-content": Props{"content-type": "BASE64", "content": b.content},
				"metadata":              nil, "time-created": fixedCreated, "time-of-deletion": nil, "time-of-expiry": nil,
			},
			etag: true,
		}
	})
	return a, err
}
