package settings

import (
	"encoding/json"
	"fmt"

	"gopkg.in/yaml.v3"
)

// ParseStackFile reads the configuration in a stack file the way Pulumi hands
// it to a program: a plain string as it is, everything else as JSON. Encrypted
// values come as a placeholder; secretKeys are the keys that hold one.
func ParseStackFile(text []byte) (values map[string]string, secretKeys []string, err error) {
	var file struct {
		Config map[string]any `yaml:"config"`
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		return nil, nil, fmt.Errorf("reading a stack file: %w", err)
	}
	values = map[string]string{}
	for key, value := range file.Config {
		value, secret := openValue(value)
		if secret {
			secretKeys = append(secretKeys, key)
		}
		if s, ok := value.(string); ok {
			values[key] = s
			continue
		}
		body, err := json.Marshal(value)
		if err != nil {
			return nil, nil, fmt.Errorf("reading %q of a stack file: %w", key, err)
		}
		values[key] = string(body)
	}
	return values, secretKeys, nil
}

// openValue replaces every {secure: ...} by a placeholder.
func openValue(value any) (opened any, secret bool) {
	switch v := value.(type) {
	case map[string]any:
		if _, ok := v["secure"]; ok && len(v) == 1 {
			return encrypted, true
		}
		for key, item := range v {
			open, s := openValue(item)
			v[key], secret = open, secret || s
		}
	case []any:
		for i, item := range v {
			open, s := openValue(item)
			v[i], secret = open, secret || s
		}
	}
	return value, secret
}
