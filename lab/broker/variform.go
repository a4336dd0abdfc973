package broker

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// variform is an expression of EMQX's, emqx_variform.erl: calls of functions, texts, numbers,
// and what is known of a client. Of the functions (emqx_variform_bif.erl) it has those whose
// behaviour on any bytes is plain.
type variform struct {
	call string // the function, or
	name string // the variable, or
	text any    // a text or a number
	args []*variform
}

// variformFunctions are their numbers of arguments; -1 is any.
var variformFunctions = map[string]int{
	"iif": 3, "coalesce": -1, "is_empty": 1, "concat": -1, "str_eq": 2, "str_neq": 2, "rm_prefix": 2, "tokens": 2, "nth": 2, "not": 1,
}

var variformToken = regexp.MustCompile(`^\s*([a-zA-Z][-a-zA-Z0-9_.]*|'[^']*'|"[^"]*"|[+-]?[0-9]+|[(),\[\]])`)

// parseVariform refuses what EMQX would, and functions that the stand-in has not.
func parseVariform(text string) (*variform, error) {
	var tokens []string
	for rest := strings.TrimSpace(text); rest != ""; rest = strings.TrimSpace(rest) {
		m := variformToken.FindStringSubmatch(rest)
		if m == nil {
			return nil, fmt.Errorf("illegal characters at %q", rest)
		}
		tokens = append(tokens, m[1])
		rest = rest[len(m[0]):]
	}
	e, left, err := variformOf(tokens)
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("syntax error before %q", left[0])
	}
	if err == nil && e.call == "" && e.name == "" {
		err = errors.New("want a function or a variable")
	}
	return e, err
}

func variformOf(tokens []string) (*variform, []string, error) {
	if len(tokens) == 0 {
		return nil, nil, errors.New("syntax error at the end")
	}
	first, rest := tokens[0], tokens[1:]
	switch c := first[0]; {
	case c == '\'' || c == '"':
		return &variform{text: strings.Trim(first, string(c))}, rest, nil
	case c == '+' || c == '-' || c >= '0' && c <= '9':
		n, err := strconv.Atoi(first)
		return &variform{text: n}, rest, err
	case strings.ContainsRune("(),[]", rune(c)):
		return nil, nil, fmt.Errorf("syntax error before %q", first)
	}
	if len(rest) == 0 || rest[0] != "(" {
		return &variform{name: first}, rest, nil
	}
	e := &variform{call: first}
	for rest = rest[1:]; ; rest = rest[1:] {
		arg, left, err := variformOf(rest)
		if err != nil {
			return nil, nil, err
		}
		e.args, rest = append(e.args, arg), left
		if len(rest) == 0 || rest[0] != "," {
			break
		}
	}
	if len(rest) == 0 || rest[0] != ")" {
		return nil, nil, fmt.Errorf("syntax error in the arguments of %s", first)
	}
	if n, ok := variformFunctions[first]; !ok || n >= 0 && n != len(e.args) {
		return nil, nil, fmt.Errorf("the stand-in has no function %s with %d arguments", first, len(e.args))
	}
	return e, rest[1:], nil
}

// render gives the text that an expression makes of a client: true and false as words.
func (e *variform) render(who *principal) (string, error) {
	v, err := e.value(who)
	if err != nil {
		return "", err
	}
	if _, list := v.([]string); list {
		return "", errors.New("bad_return")
	}
	return fmt.Sprint(v), nil
}

// value of a variable that the client has none of is an empty text; one that there is not is
// an error (var_unbound).
func (e *variform) value(who *principal) (any, error) {
	if e.call == "" && e.name == "" {
		return e.text, nil
	}
	if e.call == "" {
		if !slices.Contains([]string{"clientid", "username", "peerhost", "zone"}, e.name) {
			return nil, fmt.Errorf("var_unbound %s", e.name)
		}
		if v := who.named(e.name); v != nil {
			return *v, nil
		}
		return "", nil
	}
	if e.call == "iif" {
		met, err := e.args[0].value(who)
		if err != nil {
			return nil, err
		}
		if met == true || met != false && met != "" {
			return e.args[1].value(who)
		}
		return e.args[2].value(who)
	}
	args := make([]any, len(e.args))
	for i, a := range e.args {
		v, err := a.value(who)
		if err != nil {
			return nil, err
		}
		args[i] = v
	}
	return apply(e.call, args)
}

// apply calls a function of which all arguments are known.
func apply(name string, args []any) (any, error) {
	texts := make([]string, len(args))
	for i, a := range args {
		texts[i], _ = a.(string)
	}
	switch name {
	case "str_eq":
		return fmt.Sprint(args[0]) == fmt.Sprint(args[1]), nil
	case "str_neq":
		return fmt.Sprint(args[0]) != fmt.Sprint(args[1]), nil
	case "rm_prefix":
		return strings.TrimPrefix(texts[0], texts[1]), nil
	case "concat":
		return strings.Join(texts, ""), nil
	case "coalesce":
		for _, t := range texts {
			if t != "" {
				return t, nil
			}
		}
		return "", nil
	case "is_empty":
		return args[0] == "", nil
	case "not":
		return args[0] == false, nil
	case "tokens":
		return strings.FieldsFunc(texts[0], func(r rune) bool { return strings.ContainsRune(texts[1], r) }), nil
	case "nth":
		n, number := args[0].(int)
		list, ok := args[1].([]string)
		switch {
		case !number || !ok || n < 1:
			return nil, errors.New("badarg: nth")
		case n > len(list):
			return "", nil
		}
		return list[n-1], nil
	}
	return nil, fmt.Errorf("unknown_variform_function %s", name)
}
