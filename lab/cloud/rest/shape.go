package rest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/emqx-oci/emqx-oci/lab/cloud"
)

// decode reads a body of the API into properties of the cloud.
type decode func(body []byte) (cloud.Props, error)

// encode shapes properties of the cloud as the API shows them.
type encode func(p cloud.Props) (any, error)

// body decodes what is of the SDK's type T. A property that is null counts as absent; one
// of another type is refused.
func body[T any](data []byte) (cloud.Props, error) {
	var typed T
	var raw cloud.Props
	err := json.Unmarshal(data, &typed)
	if err == nil {
		err = json.Unmarshal(data, &raw)
	}
	if err != nil {
		return nil, &cloud.Error{Status: http.StatusBadRequest, Code: "CannotParseRequest", Message: "Incorrectly formatted request: " + err.Error()}
	}
	return renamed(raw), nil
}

// shape encodes as the SDK's type T. The SDK's types take the provider's names: JSON is
// read in any case.
func shape[T any](p cloud.Props) (any, error) {
	data, err := json.Marshal(answered(p))
	if err != nil {
		return nil, fmt.Errorf("answering with a %T: %w", *new(T), err)
	}
	var typed T
	if err := json.Unmarshal(data, &typed); err != nil {
		return nil, fmt.Errorf("answering with a %T: %w", typed, err)
	}
	return typed, nil
}

// given are properties whose keys are their users' own.
var given = map[string]bool{
	"freeformTags": true, "definedTags": true, "systemTags": true, "securityAttributes": true, "metadata": true, "extendedMetadata": true,
}

// others are the names that the provider spells in another way than by its rule.
var others = map[string]string{"lifecycleState": "state", "isStateless": "stateless"}

// providerName is the API's name of a property as the provider spells it: a capital
// begins a word only after a small letter (sizeInGBs: sizeInGbs, isPpv2Enabled:
// isPpv2enabled).
func providerName(name string) string {
	if other, ok := others[name]; ok {
		return other
	}
	out := []byte(name)
	for i := 1; i < len(out); i++ {
		if after := name[i-1]; after < 'a' || after > 'z' {
			out[i] = strings.ToLower(name[i : i+1])[0]
		}
	}
	return string(out)
}

// renamed is p without nulls, under the provider's names at every depth.
func renamed(p cloud.Props) cloud.Props {
	out := cloud.Props{}
	for key, v := range p {
		switch {
		case v == nil:
		case key == "definedTags":
			out[key] = flat(v)
		case given[key]:
			out[key] = v
		default:
			out[providerName(key)] = deep(v, renamed)
		}
	}
	return out
}

// flat are defined tags as the provider writes them, {"Operations.CostCenter": "42"}, of
// the API's {"Operations": {"CostCenter": "42"}}.
func flat(v any) cloud.Props {
	out := cloud.Props{}
	spaces, _ := v.(cloud.Props)
	for space, v := range spaces {
		tags, _ := v.(cloud.Props)
		for key, value := range tags {
			out[space+"."+key] = value
		}
	}
	return out
}

// nested is the reverse of flat.
func nested(v any) map[string]cloud.Props {
	out := map[string]cloud.Props{}
	tags, _ := v.(cloud.Props)
	for key, value := range tags {
		space, name, _ := strings.Cut(key, ".")
		if out[space] == nil {
			out[space] = cloud.Props{}
		}
		out[space][name] = value
	}
	return out
}

func deep(v any, f func(cloud.Props) cloud.Props) any {
	switch v := v.(type) {
	case cloud.Props:
		return f(v)
	case []any:
		out := make([]any, len(v))
		for n := range v {
			out[n] = deep(v[n], f)
		}
		return out
	}
	return v
}

// quantity are properties that the provider has as strings, and the API as numbers.
var quantity = regexp.MustCompile(`(Gbs|Mbs|PerGb)$`)

// answered is p with what the API has in another way. An empty string is what the
// provider makes of null.
func answered(p cloud.Props) cloud.Props {
	out := cloud.Props{}
	for key, v := range p {
		text, isText := v.(string)
		switch {
		case key == "definedTags":
			out[key] = nested(v)
		case given[key]:
			out[key] = v
		case isText && text == "":
		case isText && quantity.MatchString(key):
			out[key] = json.Number(text)
		default:
			out[key] = deep(v, answered)
		}
		for api, provider := range others {
			if key == provider && out[key] != nil {
				out[api] = out[key]
			}
		}
	}
	return out
}
