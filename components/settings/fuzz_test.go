package settings_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/fault"
	"github.com/emqx-oci/emqx-oci/components/settings"
)

// Whatever stands in a file, the loader returns, with the settings or with
// faults that say where they are; and what it accepts a schema accepts.
func FuzzStackFile(f *testing.F) {
	for _, dir := range []string{"good", "bad"} {
		for _, text := range stackFiles(f, dir) {
			f.Add(text)
		}
	}
	schema := compiled(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		err := readFile(text)
		if err == nil && inFull(text) {
			assert.NilError(t, validate(schema, text))
		}
		var faults *fault.Error
		if errors.As(err, &faults) {
			for _, x := range faults.Faults {
				another := strings.HasPrefix(x.Text, "is not a known setting") // a key of a project that is mistyped, say
				assert.Assert(t, (another || strings.HasPrefix(x.Path, settings.Project+":")) && x.Text != "", "%q", x)
			}
		}
	})
}

// inFull tells whether all keys have their project before them, as the schema
// wants it and Pulumi does not.
func inFull(text []byte) bool {
	var file struct {
		Config map[string]any `yaml:"config"`
	}
	err := yaml.Unmarshal(text, &file)
	for key := range file.Config {
		if !strings.Contains(key, ":") {
			return false
		}
	}
	return err == nil
}

// The groups one by one, past YAML and Pulumi's reader.
func FuzzGroup(f *testing.F) {
	for _, dir := range []string{"good", "bad"} {
		for _, text := range stackFiles(f, dir) {
			values, _, err := settings.ParseStackFile(text)
			if err != nil {
				continue
			}
			for key, value := range values {
				f.Add(key, value, true)
			}
		}
	}
	least, _, err := settings.ParseStackFile(stackFiles(f, "good")["least"])
	assert.NilError(f, err)
	f.Fuzz(func(_ *testing.T, key, text string, offline bool) {
		s, err := settings.Load("prod", settings.Source{
			Get: func(k string) (string, bool) {
				if k == key {
					return text, true
				}
				v, ok := least[k]
				return v, ok
			},
			IsSecret: func(string) bool { return true },
			Getenv:   func(string) string { return "" },
			Offline:  offline,
		})
		_ = fmt.Sprint(err, s)
	})
}

// A hundred nodes, each with a volume of its own size, and long lists.
func BenchmarkLoad(b *testing.B) {
	text := hundredNodes()
	assert.NilError(b, readFile(text))
	values, secretKeys, err := settings.ParseStackFile(text)
	assert.NilError(b, err)
	b.Run("settings", func(b *testing.B) {
		for b.Loop() {
			_, _ = settings.Load("prod", settings.Source{
				Get:      func(key string) (string, bool) { v, ok := values[key]; return v, ok },
				IsSecret: func(string) bool { return len(secretKeys) > 0 },
				Getenv:   func(string) string { return "" },
				Offline:  true,
			})
		}
	})
	b.Run("file", func(b *testing.B) {
		for b.Loop() {
			_ = readFile(text)
		}
	})
}

func hundredNodes() []byte {
	var b strings.Builder
	b.WriteString(`config:
  emqx-oci:oci: {region: eu-frankfurt-1, compartment: ocid1.compartment.oc1..example}
  emqx-oci:network:
    vcn: the VCN
    publicSubnet: public
    privateSubnet: private
    serverCidrs: [10.0.2.0/24]
    clientCidrs:
`)
	for i := range 100 {
		fmt.Fprintf(&b, "      - 203.%d.113.0/24\n", i)
	}
	b.WriteString("  emqx-oci:nodes: {count: 100, image: ocid1.image.oc1..example}\n  emqx-oci:volumes:\n    sizeGbByNode:\n")
	for i := range 100 {
		fmt.Fprintf(&b, "      %d: %d\n", i, 100+i)
	}
	b.WriteString("  emqx-oci:broker:\n    env:\n")
	for i := range 100 {
		fmt.Fprintf(&b, "      EMQX_ZONES__Z%d__MQTT__MAX_INFLIGHT: \"%d\"\n", i, i)
	}
	b.WriteString(`  emqx-oci:dns: {zone: example.com, name: mqtt.example.com}
  emqx-oci:nomad: {address: "https://10.0.2.10:4646", servers: ["10.0.2.10:4647"]}
  emqx-oci:consul: {address: "https://10.0.2.10:8501", servers: [10.0.2.10]}
  emqx-oci:secrets: {secure: v1:abc}
`)
	return []byte(b.String())
}
