package hocon

import (
	"maps"
	"slices"
)

// absent is what a substitution is that may find nothing.
type absent struct{}

type parser struct {
	tokens []token
	lossy  bool
}

func (p *parser) peek() token { return p.tokens[0] }

func (p *parser) take() token {
	t := p.tokens[0]
	p.tokens = p.tokens[1:]
	return t
}

// document is a list of fields to the end of the text.
func (p *parser) document() (map[string]any, error) {
	all, err := p.fields()
	if err == nil && p.peek().kind != ending {
		err = errNoHOCON
	}
	return all, err
}

// fields are one or more, with or without commas between them.
func (p *parser) fields() (map[string]any, error) {
	all := map[string]any{}
	for {
		switch t := p.take(); t.kind {
		case fieldName:
			value, err := p.value()
			if err != nil {
				return nil, err
			}
			put(all, t.path, value)
		case include:
			if p.peek().kind == required {
				p.take()
			}
			if t := p.take(); t.kind != unquoted && t.kind != quoted {
				return nil, errNoHOCON
			}
			p.lossy = true
		default:
			return nil, errNoHOCON
		}
		switch t := p.peek(); {
		case t.is(","):
			p.take()
		case t.kind == ending || t.is("}"):
			return all, nil
		}
	}
}

// put sets a value in an object. An object goes into the one that is there.
func put(all map[string]any, path []string, value any) {
	if _, none := value.(absent); none {
		return
	}
	for i := len(path) - 1; i > 0; i-- {
		value = map[string]any{path[i]: value}
	}
	merge(all, path[0], value)
}

func merge(all map[string]any, name string, value any) {
	next, ok := value.(map[string]any)
	if base, has := all[name].(map[string]any); ok && has {
		merged := maps.Clone(base)
		for inner, v := range next {
			merge(merged, inner, v)
		}
		value = merged
	}
	all[name] = value
}

// value is a primitive, or what stands side by side: strings, objects or lists.
func (p *parser) value() (any, error) {
	if p.peek().kind == primitive {
		return p.take().value, nil
	}
	var parts []any
	for {
		part, ok, err := p.part()
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		parts = append(parts, part)
	}
	next := p.peek()
	ends := next.kind == fieldName || next.kind == include || next.kind == ending || next.is(",") || next.is("}") || next.is("]")
	if len(parts) == 0 || !ends {
		return nil, errNoHOCON
	}
	return p.concat(parts)
}

// part is one of those; ok is false when none comes.
func (p *parser) part() (part any, ok bool, err error) {
	switch t := p.peek(); {
	case t.kind == unquoted || t.kind == quoted:
		return p.take().text, true, nil
	case t.kind == variable:
		if p.take(); !t.optional {
			return nil, false, errNoHOCON // it finds nothing
		}
		return absent{}, true, nil
	case t.is("{"):
		p.take()
		object := map[string]any{}
		if !p.peek().is("}") {
			if object, err = p.fields(); err != nil {
				return nil, false, err
			}
		}
		return object, true, p.closed("}")
	case t.is("["):
		p.take()
		list, err := p.elements()
		return list, err == nil, err
	}
	return nil, false, nil
}

func (p *parser) closed(by string) error {
	if !p.take().is(by) {
		return errNoHOCON
	}
	return nil
}

// elements are those of a list, with or without commas between them.
func (p *parser) elements() ([]any, error) {
	list := []any{}
	for !p.peek().is("]") {
		value, err := p.value()
		if err != nil {
			return nil, err
		}
		if _, none := value.(absent); !none {
			list = append(list, value)
		}
		if p.peek().is(",") {
			if p.take(); p.peek().is("]") {
				return nil, errNoHOCON
			}
		}
	}
	return list, p.closed("]")
}

// concat makes one value of what stands side by side. An empty object is nothing
// beside others.
func (p *parser) concat(parts []any) (any, error) {
	parts = slices.DeleteFunc(parts, func(part any) bool { _, none := part.(absent); return none })
	if len(parts) == 0 {
		return absent{}, nil
	}
	object, list, text := map[string]any{}, []any{}, ""
	fields, lists, texts := 0, 0, 0
	for _, part := range parts {
		switch v := part.(type) {
		case map[string]any:
			for name, value := range v {
				merge(object, name, value)
			}
			fields += len(v)
		case []any:
			list = append(list, v...)
			lists++
		case string:
			text += v
			texts++
		}
	}
	p.lossy = p.lossy || texts > 1
	switch {
	case lists == 0 && texts == 0:
		return object, nil
	case fields == 0 && texts == 0:
		return list, nil
	case fields == 0 && lists == 0:
		return text, nil
	}
	return nil, errNoHOCON
}
