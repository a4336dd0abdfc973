package orchestrate

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/diag"
	"github.com/pulumi/pulumi/sdk/v3/go/common/diag/colors"
	"github.com/pulumi/pulumi/sdk/v3/go/common/encoding"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/config"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
	"gopkg.in/yaml.v3"
)

// stackName is what may stand in a file's name and in a backend's path alike.
var stackName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$`)

// Config is a stack's configuration as the program will see it.
type Config struct {
	project string
	values  map[string]string // plain, secrets too; nil when only the engine can decrypt them
	keys    []string          // all of them, long and sorted, also where values is nil
	secret  map[string]bool
	// environments of Pulumi ESC that the stack file imports: their values are not here.
	environments []string
}

// NewConfig is a configuration that stands in no file yet. Values go by their long keys; secret are the keys of those
// that will be kept encrypted.
func NewConfig(project string, values map[string]string, secret map[string]bool) Config {
	return Config{project: project, values: values, keys: slices.Sorted(maps.Keys(values)), secret: secret}
}

// Get gives a value by its key, "emqx-oci:nodes" or "nodes" for short; an object comes as JSON.
func (c Config) Get(key string) (value string, ok bool) {
	value, ok = c.values[c.long(key)]
	return value, ok
}

// IsSecret says whether a value, or a part of it, is kept encrypted.
func (c Config) IsSecret(key string) bool { return c.secret[c.long(key)] }

// Keys are all keys, long and sorted.
func (c Config) Keys() []string { return slices.Clone(c.keys) }

// Environments are those of Pulumi ESC that the stack file imports. Their values come
// to a program of the engine's, and are not among these.
func (c Config) Environments() []string { return slices.Clone(c.environments) }

func (c Config) long(key string) string {
	if strings.Contains(key, ":") {
		return key
	}
	return c.project + ":" + key
}

// Peek reads one plain value of a stack file, "" when it is not there.
func Peek(projectDir, stack, key string) (string, error) {
	if !stackName.MatchString(stack) {
		return "", badName(stack)
	}
	b, err := os.ReadFile(filepath.Join(projectDir, "Pulumi."+stack+".yaml"))
	if errors.Is(err, os.ErrNotExist) {
		return "", &UnknownStackError{Stack: stack, Known: stacks(projectDir), Dir: projectDir}
	} else if err != nil {
		return "", fmt.Errorf("reading the stack's file: %w", err)
	}
	var f struct {
		Config map[string]yaml.Node `yaml:"config"`
	}
	if err := yaml.Unmarshal(b, &f); err != nil {
		return "", &ConfigError{Stack: stack, Err: fmt.Errorf("reading Pulumi.%s.yaml: %w", stack, err)}
	}
	n := f.Config[key]
	if n.Kind != yaml.ScalarNode {
		return "", nil
	}
	return n.Value, nil
}

// Read gives a stack file's configuration as far as it is not encrypted; "[secret]" stands in the place of the rest.
func Read(projectDir, stack string) (Config, error) {
	if _, err := Peek(projectDir, stack, ""); err != nil {
		return Config{}, err
	}
	project, err := workspace.LoadProject(filepath.Join(projectDir, "Pulumi.yaml"))
	if err != nil {
		return Config{}, fmt.Errorf("reading the project: %w", err)
	}
	sink := diag.DefaultSink(io.Discard, io.Discard, diag.FormatOptions{Color: colors.Never})
	file, err := workspace.LoadProjectStack(sink, project, filepath.Join(projectDir, "Pulumi."+stack+".yaml"))
	if err != nil {
		return Config{}, &ConfigError{Stack: stack, Err: err}
	}
	c := Config{project: string(project.Name), secret: map[string]bool{}}
	if c.values, err = plain(file.Config, config.NewBlindingDecrypter()); err != nil {
		return Config{}, &ConfigError{Stack: stack, Err: err}
	}
	c.describe(file)
	return c, nil
}

// describe notes what a stack file says of its configuration, whoever can decrypt it.
func (c *Config) describe(file *workspace.ProjectStack) {
	for k := range file.Config {
		c.keys = append(c.keys, k.String())
	}
	slices.Sort(c.keys)
	for _, k := range file.Config.SecureKeys() {
		c.secret[k.String()] = true
	}
	if file.Environment != nil {
		c.environments = file.Environment.Imports()
	}
}

func badName(stack string) error {
	return &UsageError{Reason: fmt.Sprintf("%q cannot be a stack's name: letters, digits, '-', '_' and '.' only", stack)}
}

// files reads the project's stack file, adds the extra configuration, and puts both into the stage. The project's own
// files are only read.
func (r *Runner) files(ctx context.Context) (*Config, error) {
	projectFile := filepath.Join(r.opts.ProjectDir, "Pulumi.yaml")
	projectText, err := os.ReadFile(projectFile)
	if errors.Is(err, os.ErrNotExist) {
		return nil, &UsageError{Reason: fmt.Sprintf("no Pulumi.yaml in %s: run emqx-oci in the project's folder, or name it with --project", r.opts.ProjectDir)}
	} else if err != nil {
		return nil, fmt.Errorf("reading the project: %w", err)
	}
	project, err := workspace.LoadProject(projectFile)
	if err != nil {
		return nil, &ConfigError{Stack: r.opts.Stack, Err: fmt.Errorf("reading %s: %w", projectFile, err)}
	}
	name := "Pulumi." + r.opts.Stack + ".yaml"
	path := filepath.Join(r.opts.ProjectDir, name)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return nil, &UnknownStackError{Stack: r.opts.Stack, Known: stacks(r.opts.ProjectDir), Dir: r.opts.ProjectDir}
	}
	var complaints bytes.Buffer
	sink := diag.DefaultSink(&complaints, &complaints, diag.FormatOptions{Color: colors.Never})
	stack, err := workspace.LoadProjectStack(sink, project, path)
	if err != nil {
		return nil, &ConfigError{Stack: r.opts.Stack, Err: fmt.Errorf("reading %s: %w", path, err)}
	}
	if stack.Config == nil {
		stack.Config = config.Map{}
	}
	if stack.EncryptionSalt == "" && stack.SecretsProvider == "" && stack.EncryptedKey == "" {
		// What the engine added to the staged copy at an earlier run; a broken copy is simply made anew.
		if before, err := workspace.LoadProjectStack(sink, project, filepath.Join(r.stage.dir, name)); err == nil {
			stack.EncryptionSalt, stack.SecretsProvider, stack.EncryptedKey = before.EncryptionSalt, before.SecretsProvider, before.EncryptedKey
		}
	}
	values, err := r.overlay(ctx, stack)
	if err != nil {
		return nil, err
	}
	text, err := encoding.YAML.Marshal(stack)
	if err != nil {
		return nil, fmt.Errorf("writing the stack's staged file: %w", err)
	}
	if err := r.stage.write(name, text); err != nil {
		return nil, err
	}
	if projectText, err = withoutMain(projectText); err != nil {
		return nil, fmt.Errorf("reading %s: %w", projectFile, err)
	}
	if err := r.stage.write("Pulumi.yaml", projectText); err != nil {
		return nil, err
	}
	c := &Config{project: string(project.Name), values: values, secret: map[string]bool{}}
	c.describe(stack)
	return c, nil
}

// overlay sets the extra values and returns the plain text of all.
func (r *Runner) overlay(ctx context.Context, stack *workspace.ProjectStack) (map[string]string, error) {
	for _, k := range slices.Sorted(maps.Keys(r.opts.ExtraConfig)) {
		if err := set(stack.Config, k, config.NewValue(r.opts.ExtraConfig[k])); err != nil {
			return nil, err
		}
	}
	if stack.Environment.Definition() != nil && len(r.opts.ExtraSecrets) == 0 {
		return nil, nil // some of the values are in Pulumi ESC: the engine will ask it
	}
	var crypter config.Crypter
	if len(r.opts.ExtraSecrets) > 0 || stack.Config.HasSecureValue() {
		var err error
		if crypter, err = r.crypter(ctx, stack); err != nil {
			return nil, err
		}
	}
	if crypter == nil {
		if len(r.opts.ExtraSecrets) > 0 {
			return nil, &ConfigError{Stack: r.opts.Stack, Err: errors.New(
				"adding secrets to the stack: there is no passphrase; set PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE")}
		}
		if stack.Config.HasSecureValue() {
			return nil, nil // the key is in a key service: the engine will ask it
		}
		return plain(stack.Config, config.NopDecrypter)
	}
	for _, k := range slices.Sorted(maps.Keys(r.opts.ExtraSecrets)) {
		c, err := crypter.EncryptValue(ctx, r.opts.ExtraSecrets[k])
		if err != nil {
			return nil, fmt.Errorf("encrypting %s: %w", k, err)
		}
		if err := set(stack.Config, k, config.NewSecureValue(c)); err != nil {
			return nil, err
		}
	}
	return plain(stack.Config, crypter)
}

func set(m config.Map, key string, v config.Value) error {
	k, err := config.ParseKey(key)
	if err == nil {
		err = m.Set(k, v, true)
	}
	if err != nil {
		return fmt.Errorf("setting %s: %w", key, err)
	}
	return nil
}

func plain(m config.Map, d config.Decrypter) (map[string]string, error) {
	decrypted, err := m.Decrypt(d)
	if err != nil {
		return nil, ofAnotherStack(m, d, err)
	}
	values := make(map[string]string, len(decrypted))
	for k, v := range decrypted {
		values[k.String()] = v
	}
	return values, nil
}

// ofAnotherStack names the secrets that do not open, although the passphrase is the stack's
// own: they were written with another stack's.
func ofAnotherStack(m config.Map, d config.Decrypter, err error) error {
	var names []string
	for key, value := range m {
		for _, path := range unopened(value, d) {
			names = append(names, strings.TrimSuffix(key.String()+"."+path, "."))
		}
	}
	if len(names) == 0 {
		return fmt.Errorf("decrypting the stack's secrets: %w", err)
	}
	slices.Sort(names)
	what := "were"
	if len(names) == 1 {
		what = "was"
	}
	return fmt.Errorf("decrypting the stack's secrets: %s %s not encrypted for this stack (copied from another one's file?); "+
		"set it anew: pulumi config set --secret --path '%s'", strings.Join(names, ", "), what, names[0])
}

// unopened are the paths of the secrets inside a value that do not open, "" for the value itself.
func unopened(v config.Value, d config.Decrypter) []string {
	if !v.Secure() {
		return nil
	}
	if _, err := v.Value(d); err == nil {
		return nil
	}
	if !v.Object() {
		return []string{""}
	}
	object, err := v.ToObject()
	if err != nil {
		return []string{""}
	}
	var found []string
	search(object, "", d, &found)
	return found
}

// search finds what a stack file writes as {secure: <text>}.
func search(v any, path string, d config.Decrypter, found *[]string) {
	switch v := v.(type) {
	case map[string]any:
		if text, ok := v["secure"].(string); ok && len(v) == 1 {
			if _, err := config.NewSecureValue(text).Value(d); err != nil {
				*found = append(*found, path)
			}
			return
		}
		for name, inner := range v {
			search(inner, strings.TrimPrefix(path+"."+name, "."), d, found)
		}
	case []any:
		for i, inner := range v {
			search(inner, fmt.Sprintf("%s[%d]", path, i), d, found)
		}
	}
}

// crypter is the stack's own one for passphrase stacks (AES-256-GCM under a key derived from the passphrase and the
// file's salt, as the engine does it), nil for all others. Done here because the engine takes new secrets only on its
// command line, where every user of the machine can read them.
func (r *Runner) crypter(ctx context.Context, stack *workspace.ProjectStack) (config.Crypter, error) {
	if stack.SecretsProvider != "" && stack.SecretsProvider != "passphrase" || stack.EncryptedKey != "" {
		return nil, nil
	}
	phrase, ok, err := r.passphrase()
	if err != nil || !ok {
		return nil, err
	}
	if stack.EncryptionSalt == "" {
		if stack.Config.HasSecureValue() {
			return nil, nil // encrypted by the backend's own service
		}
		salt := make([]byte, 8)
		_, _ = rand.Read(salt)
		crypter := config.NewSymmetricCrypterFromPassphrase(phrase, salt)
		check, err := crypter.EncryptValue(ctx, "pulumi")
		if err != nil {
			return nil, fmt.Errorf("making the stack's encryption salt: %w", err)
		}
		stack.EncryptionSalt = "v1:" + base64.StdEncoding.EncodeToString(salt) + ":" + check
		return crypter, nil
	}
	parts := strings.SplitN(stack.EncryptionSalt, ":", 3)
	if len(parts) != 3 || parts[0] != "v1" {
		return nil, &ConfigError{Stack: r.opts.Stack, Err: errors.New("reading encryptionsalt: it does not have the three parts of version v1")}
	}
	salt, err := base64.StdEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, &ConfigError{Stack: r.opts.Stack, Err: fmt.Errorf("reading encryptionsalt: %w", err)}
	}
	crypter := config.NewSymmetricCrypterFromPassphrase(phrase, salt)
	if check, err := crypter.DecryptValue(ctx, parts[2]); err != nil || check != "pulumi" {
		return nil, &ConfigError{Stack: r.opts.Stack, Err: errors.New(
			"reading the stack's secrets: the passphrase in PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE is not the one they were written with")}
	}
	return crypter, nil
}

// passphrase finds it where the engine would.
func (r *Runner) passphrase() (phrase string, ok bool, err error) {
	if p, ok := r.lookup("PULUMI_CONFIG_PASSPHRASE"); ok {
		return p, true, nil
	}
	name, ok := r.lookup("PULUMI_CONFIG_PASSPHRASE_FILE")
	if !ok || name == "" {
		return "", false, nil
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return "", false, &ConfigError{Stack: r.opts.Stack, Err: fmt.Errorf("reading the passphrase: %w", err)}
	}
	return strings.TrimSpace(string(b)), true, nil
}

func (r *Runner) lookup(key string) (string, bool) {
	if v, ok := r.opts.Env[key]; ok {
		return v, true
	}
	return os.LookupEnv(key)
}

// withoutMain drops the pointer to the program's source, which is not in the stage: the program is this one.
func withoutMain(text []byte) ([]byte, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, err
	}
	if len(doc.Content) == 0 || doc.Content[0].Kind != yaml.MappingNode {
		return text, nil
	}
	m := doc.Content[0]
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == "main" {
			m.Content = slices.Delete(m.Content, i, i+2)
			break
		}
	}
	return yaml.Marshal(&doc)
}
