package preflight

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"io"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"

	"github.com/emqx-oci/emqx-oci/components/recorder"
)

// bootScript is what a node's first start is told.
type bootScript struct {
	config recorder.Resource
	vars   map[string]string
	// text is the whole script; empty when it is not known yet.
	text string
}

func readBoot(r recorder.Resource) bootScript {
	b := bootScript{config: r, vars: map[string]string{}}
	encoded := TextAt(r, "instanceDetails.launchDetails.metadata.user_data")
	body, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return b
	}
	// As cloud-init does.
	if z, err := gzip.NewReader(bytes.NewReader(body)); err == nil {
		if body, err = io.ReadAll(z); err != nil {
			return b
		}
	}
	b.text = string(body)
	for line := range strings.Lines(b.text) {
		assignment, ok := strings.CutPrefix(strings.TrimSpace(line), "readonly ")
		if !ok {
			continue
		}
		name, value, ok := strings.Cut(assignment, "=")
		if ok && strings.HasPrefix(value, "'") {
			b.vars[name] = strings.ReplaceAll(strings.Trim(value, "'"), `'\''`, "'")
		}
	}
	return b
}

// texts are a list of texts.
func texts(v resource.PropertyValue) []string {
	var found []string
	if v.IsArray() {
		for _, element := range v.ArrayValue() {
			found = append(found, Text(Open(element)))
		}
	}
	return found
}

// backends are those in a set, by their place.
func backends(set recorder.Resource) []resource.PropertyMap {
	all := Property(set, "backends")
	if !all.IsArray() {
		return nil
	}
	found := make([]resource.PropertyMap, len(all.ArrayValue()))
	for i, b := range all.ArrayValue() {
		if b = Open(b); b.IsObject() {
			found[i] = b.ObjectValue()
		}
	}
	return found
}
