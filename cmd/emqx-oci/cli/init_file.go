package cli

import (
	"bytes"
	"crypto/rand"
	_ "embed"
	"fmt"
	"strings"
	"text/template"

	"gopkg.in/yaml.v3"
)

//go:embed stack.yaml.tmpl
var stackTemplate string

// stackFile is the text of a new stack file, without its secrets: it ends inside "config:".
func stackFile(stack string, a answers) ([]byte, error) {
	t, err := template.New("stack").Option("missingkey=error").Funcs(template.FuncMap{
		"value": func(path string) (string, error) {
			v, ok := a[path]
			if !ok {
				return "", fmt.Errorf("no answer for %q", path)
			}
			return inlineYAML(v)
		},
	}).Parse(stackTemplate)
	if err != nil {
		return nil, fmt.Errorf("reading the stack file's template: %w", err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, map[string]string{"Stack": stack}); err != nil {
		return nil, fmt.Errorf("writing the stack file: %w", err)
	}
	return b.Bytes(), nil
}

// inlineYAML writes a value on one line, quoted where YAML would read it as something else.
func inlineYAML(v any) (string, error) {
	var n yaml.Node
	if err := n.Encode(v); err != nil {
		return "", err
	}
	n.Style |= yaml.FlowStyle
	b, err := yaml.Marshal(&n)
	return strings.TrimSpace(string(b)), err
}

// The characters that every reader of a secret takes as they are: shell scripts, HOCON, HTTP's basic authentication,
// HAProxy's configuration.
const (
	letters   = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	alphabet  = letters + "0123456789"
	secretLen = 32 // 190 bits
)

// newSecrets makes the secrets of a stack, by path.
func newSecrets() map[string]string {
	return map[string]string{
		// EMQX's scripts want a letter first.
		"emqx-oci:secrets.erlangCookie":      random(letters, 1) + random(alphabet, secretLen),
		"emqx-oci:secrets.dashboardPassword": password(),
		"emqx-oci:secrets.apiKey":            password(),
		"emqx-oci:secrets.apiSecret":         password(),
		"emqx-oci:secrets.statsPassword":     password(),
		"emqx-oci:secrets.gatePassword":      password(),
	}
}

// password begins with a letter, too: the pulumi command makes a number of what is all digits.
func password() string { return random(letters, 1) + random(alphabet, secretLen-1) }

// random picks n characters, each as likely as any other.
func random(from string, n int) string {
	var b strings.Builder
	limit := byte(256 / len(from) * len(from)) //nolint:gosec // at most 256 minus a remainder: fits
	for one := make([]byte, 1); b.Len() < n; {
		_, _ = rand.Read(one) // never fails
		if one[0] < limit {
			b.WriteByte(from[int(one[0])%len(from)])
		}
	}
	return b.String()
}
