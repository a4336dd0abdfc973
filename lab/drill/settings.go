package drill

import (
	"fmt"
	"os"
	"path/filepath"

	"gopkg.in/yaml.v3"
)

// set changes values of the drill's own stack file: group is emqx-oci:<group>. What a nil value stands for is removed.
// The file stays so when the scenario has kept its promise.
func (r *Run) set(group string, values map[string]any) error {
	r.keep = true
	return r.change(group, func(settings map[string]any) {
		for name, v := range values {
			if v == nil {
				delete(settings, name)
				continue
			}
			settings[name] = v
		}
	})
}

// toggle sets a value to the one of two that it does not have.
func (r *Run) toggle(group, name string, one, other any) error {
	r.keep = true
	return r.change(group, func(settings map[string]any) {
		if settings[name] == other {
			other = one
		}
		settings[name] = other
	})
}

func (r *Run) change(group string, f func(map[string]any)) error {
	path := filepath.Join(r.Project, stackFile)
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("changing the drill's stack file: %w", err)
	}
	var file map[string]any
	if err := yaml.Unmarshal(text, &file); err != nil {
		return fmt.Errorf("changing the drill's stack file: %w", err)
	}
	config, _ := file["config"].(map[string]any)
	if config == nil {
		return fmt.Errorf("changing the drill's stack file: %s has no config", path)
	}
	settings, _ := config["emqx-oci:"+group].(map[string]any)
	if settings == nil {
		settings = map[string]any{}
	}
	f(settings)
	config["emqx-oci:"+group] = settings
	if text, err = yaml.Marshal(file); err != nil {
		return fmt.Errorf("changing the drill's stack file: %w", err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return fmt.Errorf("changing the drill's stack file: %w", err)
	}
	return nil
}
