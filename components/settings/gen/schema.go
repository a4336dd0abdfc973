package main

import (
	"encoding/json"
	"strings"

	"github.com/emqx-oci/emqx-oci/components/settings"
	"github.com/emqx-oci/emqx-oci/internal/structconfig/reference"
)

type object = reference.Object

// stackFile is the JSON Schema of a stack file. It is never stricter than the
// validation, except that it wants keys in full ("emqx-oci:nodes"). What it cannot
// see is how settings fit together.
func stackFile(r *reference.Reference) ([]byte, error) {
	config := object{
		"description": "The stack's configuration.",
		"type":        "object", "additionalProperties": false,
		// Other projects and providers keep their keys here, too.
		"patternProperties": object{foreignKey(settings.Project): object{}},
	}
	groups := object{}
	var required []string
	for _, f := range r.Fields() {
		key := settings.Project + ":" + f.Path
		if !f.IsGroup() {
			groups[key] = r.Property(f)
			continue
		}
		group := r.Group(f.Fields)
		groups[key] = object{
			"description": r.Text(f),
			"if":          object{"type": "object", "required": []string{"secure"}}, // the group is encrypted as a whole
			"then":        secure(r.Text(f)), "else": group,
		}
		if group["required"] != nil {
			required = append(required, key)
		}
	}
	config["properties"], config["required"] = groups, required
	plain := func(description string) object { return object{"type": "string", "description": description} }
	return marshal(object{
		"$schema":     "http://json-schema.org/draft-07/schema#",
		"title":       "A stack of emqx-oci (generated from components/settings/settings.go)",
		"description": "Pulumi.<stack>.yaml: the settings of one stack.",
		"type":        "object", "additionalProperties": false, "required": []string{"config"},
		"properties": object{
			"config":          config,
			"encryptionsalt":  plain("What Pulumi encrypts the secrets with, beside the passphrase. Written by Pulumi."),
			"encryptedkey":    plain("What Pulumi encrypts the secrets with, itself encrypted by a key service. Written by Pulumi."),
			"secretsprovider": plain("Who encrypts the secrets: passphrase, or the URL of a key service. Written by Pulumi."),
			"environment":     object{"description": "Environments of Pulumi ESC that add to the configuration."},
		},
	})
}

func marshal(v any) ([]byte, error) {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(v)
	return []byte(b.String()), err
}

// foreignKey matches "namespace:name" of every namespace but ours, in the
// dialect that all validators share, which cannot say "not".
func foreignKey(ours string) string {
	others := []string{}
	for i := range ours {
		head := ours[:i]
		if i > 0 {
			others = append(others, head+":")
		}
		others = append(others, head+"[^:"+ours[i:i+1]+"][^:]*:")
	}
	others = append(others, ours+"[^:]+:")
	return "^(" + strings.Join(others, "|") + ")"
}

// secure is a value that Pulumi encrypted.
func secure(description string) object {
	s := object{
		"type": "object", "required": []string{"secure"}, "additionalProperties": false,
		"properties": object{"secure": object{"type": "string"}},
	}
	if description != "" {
		s["description"] = description
	}
	return s
}
