package main

import (
	"encoding/json"
	"reflect"
	"strings"
	"time"

	"github.com/emqx-oci/emqx-oci/components/settings"
)

type object map[string]any

// duration is what time.ParseDuration reads, without a minus.
const duration = `^\+?(0|(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$`

// schema is never stricter than the validation, except that it wants keys in
// full ("emqx-oci:nodes"). What it cannot see is how settings fit together.
func schema(top *group) ([]byte, error) {
	config := object{
		"description": "The stack's configuration.",
		"type":        "object", "additionalProperties": false,
		// Other projects and providers keep their keys here, too.
		"patternProperties": object{foreignKey(settings.Project): object{}},
	}
	groups := object{}
	var required []string
	for _, it := range top.items {
		key := settings.Project + ":" + it.Path
		if it.group == nil {
			groups[key] = setting(&it)
			continue
		}
		groups[key] = object{
			"description": it.text,
			"if":          object{"type": "object", "required": []string{"secure"}}, // the group is encrypted as a whole
			"then":        secure(it.text), "else": groupSchema(it.group),
		}
		if len(requiredKeys(it.group)) > 0 {
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

func groupSchema(g *group) object {
	properties := object{}
	for _, it := range g.items {
		_, key, _ := strings.Cut(it.Path[len(g.key):], ".")
		if it.group == nil {
			properties[key] = setting(&it)
			continue
		}
		nested := groupSchema(it.group)
		nested["description"] = it.text
		properties[key] = nested
	}
	s := object{"type": "object", "additionalProperties": false, "properties": properties}
	if keys := requiredKeys(g); len(keys) > 0 {
		s["required"] = keys
	}
	return s
}

// requiredKeys are those without which no stack file is whole. Secrets come
// later, by Pulumi, and the lab's never.
func requiredKeys(g *group) []string {
	var keys []string
	for _, it := range g.items {
		if it.Required && !it.Secret {
			keys = append(keys, it.Path[len(g.key)+1:])
		}
	}
	return keys
}

func setting(it *item) object {
	var s object
	switch it.Type.Kind() {
	case reflect.Slice:
		s = object{"type": "array", "items": single(it)}
		if it.Required {
			s["minItems"] = 1
		}
	case reflect.Map:
		s = object{"type": "object", "additionalProperties": single(it)}
		if it.Keys != nil {
			s["propertyNames"] = object{"pattern": it.Keys.Pattern}
		}
	default:
		s = single(it)
	}
	s["description"] = it.text
	if note := value(it); note != "" {
		s["description"] = it.text + " (" + strings.ReplaceAll(note, "`", "") + ")"
	}
	if it.Default != nil {
		s["default"] = it.Default
		if d, ok := it.Default.(time.Duration); ok && d > 0 {
			s["default"] = it.DefaultString()
		}
	}
	return s
}

// single is one value: the setting's, or what its list or map holds.
func single(it *item) object {
	switch it.Element() {
	case reflect.TypeFor[bool]():
		return object{"type": "boolean"}
	case reflect.TypeFor[int]():
		return number(it, "integer")
	case reflect.TypeFor[float64]():
		return number(it, "number")
	case reflect.TypeFor[time.Duration]():
		return text(object{"pattern": duration, "patternErrorMessage": `must be a duration such as "90s" or "10m"`})
	}
	if it.OneOf != nil {
		return object{"enum": it.OneOf}
	}
	if it.Secret {
		return secure("")
	}
	s := object{}
	mayBeEmpty := !it.Required && it.Default == nil && it.Type.Kind() != reflect.Slice
	if !mayBeEmpty {
		s["minLength"] = 1
	}
	bound(s, it, it.Length, "minLength", "maxLength")
	if f := it.Format; f != nil {
		pattern := f.Pattern
		if mayBeEmpty {
			pattern = "^$|" + pattern
		}
		s["pattern"], s["patternErrorMessage"] = pattern, "must be "+f.Want
		if f.Name255 {
			delete(s, "pattern")
			s["anyOf"] = []object{{"pattern": pattern}, {"not": object{"pattern": `^ocid1\.`}, "maxLength": 255}}
		}
	}
	return text(s)
}

// text may be encrypted. The keywords of strings say nothing of objects, and the
// other way round.
func text(s object) object {
	s["type"] = []string{"string", "object"}
	for key, value := range secure("") {
		if key != "type" {
			s[key] = value
		}
	}
	return s
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

func number(it *item, kind string) object {
	s := object{"type": kind}
	bound(s, it, it.Range, "minimum", "maximum")
	if it.Step != "" {
		s["multipleOf"] = it.Number(it.Step)
	}
	return s
}

func bound(s object, it *item, b settings.Bounds, least, most string) {
	if b.Least != "" {
		s[least] = it.Number(b.Least)
	}
	if b.Most != "" {
		s[most] = it.Number(b.Most)
	}
}
