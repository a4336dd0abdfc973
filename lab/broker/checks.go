package broker

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// check turns a parsed value into the key's Go value or says what is wanted.
type check func(v any) (any, error)

func text(v any) (any, error) { return hoconText(v) }

func boolean(v any) (any, error) {
	switch v {
	case true, "true":
		return true, nil
	case false, "false":
		return false, nil
	}
	return nil, fmt.Errorf("want true or false")
}

func integer(lo, hi int) check {
	return func(v any) (any, error) {
		s, err := hoconText(v)
		if err != nil {
			return nil, err
		}
		n, err := strconv.Atoi(s)
		if err != nil || n < lo || n > hi {
			return nil, fmt.Errorf("want a whole number %d to %d, got %q", lo, hi, s)
		}
		return n, nil
	}
}

// intOr accepts a number or one of the words; a word is -1.
func intOr(words ...string) check {
	return func(v any) (any, error) {
		if s, ok := v.(string); ok && slices.Contains(words, s) {
			return -1, nil
		}
		return integer(1, 1<<31-1)(v)
	}
}

func oneOf(words ...string) check {
	return func(v any) (any, error) {
		s, err := hoconText(v)
		if err != nil || !slices.Contains(words, s) {
			return nil, fmt.Errorf("want one of %s, got %q", strings.Join(words, ", "), s)
		}
		return s, nil
	}
}

// duration reads 15s, 1h30m, 100ms and plain milliseconds.
func duration(v any) (any, error) {
	s, err := hoconText(v)
	if err != nil {
		return nil, err
	}
	if n, err := strconv.Atoi(s); err == nil && n >= 0 {
		return time.Duration(n) * time.Millisecond, nil
	}
	var total time.Duration
	rest := strings.ToLower(s)
	for rest != "" {
		i := 0
		for i < len(rest) && (isDigit(rest[i]) || rest[i] == '.') {
			i++
		}
		j := i
		for j < len(rest) && isLetter(rest[j]) {
			j++
		}
		n, err := strconv.ParseFloat(rest[:i], 64)
		unit, ok := map[string]time.Duration{
			"d": 24 * time.Hour, "h": time.Hour, "m": time.Minute, "s": time.Second, "ms": time.Millisecond,
		}[rest[i:j]]
		if err != nil || !ok {
			return nil, fmt.Errorf("want a duration such as 15s or 2h, got %q", s)
		}
		total += time.Duration(n * float64(unit))
		rest = rest[j:]
	}
	return total, nil
}

func durationOr(words ...string) check {
	return func(v any) (any, error) {
		if s, ok := v.(string); ok && slices.Contains(words, s) {
			return time.Duration(-1), nil
		}
		return duration(v)
	}
}

func byteSize(v any) (any, error) {
	s, err := hoconText(v)
	if err != nil {
		return nil, err
	}
	num, unit := strings.ToLower(s), 1
	for suffix, u := range map[string]int{"kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30} {
		if strings.HasSuffix(num, suffix) {
			num, unit = strings.TrimSuffix(num, suffix), u
		}
	}
	n, err := strconv.Atoi(num)
	if err != nil || n < 0 {
		return nil, fmt.Errorf("want a size such as 1MB, got %q", s)
	}
	return n * unit, nil
}

func byteSizeOr(words ...string) check {
	return func(v any) (any, error) {
		if s, ok := v.(string); ok && slices.Contains(words, s) {
			return -1, nil
		}
		return byteSize(v)
	}
}

// rate reads 1000/s, 10MB/5m, infinity. The result is units per second, -1 for no limit.
func rate(v any) (any, error) {
	s, err := hoconText(v)
	if err != nil {
		return nil, err
	}
	if s == "infinity" {
		return -1.0, nil
	}
	amount, per, ok := strings.Cut(s, "/")
	size, err := byteSize(strings.TrimSpace(amount))
	if !ok || err != nil {
		return nil, fmt.Errorf("want a rate such as 1000/s or infinity, got %q", s)
	}
	per = strings.TrimSpace(per)
	if per != "" && !isDigit(per[0]) {
		per = "1" + per
	}
	d, err := duration(per)
	if err != nil || d.(time.Duration) <= 0 {
		return nil, fmt.Errorf("want a rate such as 1000/s or infinity, got %q", s)
	}
	return float64(size.(int)) / d.(time.Duration).Seconds(), nil
}

// list reads [a, b] and "a, b".
func list(v any) (any, error) {
	if items, ok := v.([]any); ok {
		out := make([]string, 0, len(items))
		for _, it := range items {
			s, err := hoconText(it)
			if err != nil {
				return nil, err
			}
			out = append(out, s)
		}
		return out, nil
	}
	s, err := hoconText(v)
	if err != nil {
		return nil, err
	}
	out := []string{}
	for _, p := range strings.Split(s, ",") {
		if p = strings.TrimSpace(p); p != "" {
			out = append(out, p)
		}
	}
	return out, nil
}

// oneOrFlag reads true, false, or the word, as text.
func oneOrFlag(word string) check {
	return func(v any) (any, error) {
		if v == word {
			return word, nil
		}
		b, err := boolean(v)
		if err != nil {
			return nil, fmt.Errorf("want true, false or %s", word)
		}
		return strconv.FormatBool(b.(bool)), nil
	}
}

func anything(v any) (any, error) { return v, nil }

// absent marks keys of EMQX that the stand-in must not pretend to honour.
func absent(what string) check {
	return func(any) (any, error) {
		return nil, fmt.Errorf("the stand-in has no %s; use the real image for it", what)
	}
}

// asGiven checks a value and keeps it as it was written.
func asGiven(c check) check {
	return func(v any) (any, error) {
		_, err := c(v)
		return v, err
	}
}

func onlyFalse(what string) check {
	return func(v any) (any, error) {
		if v == false || v == "false" {
			return false, nil
		}
		return absent(what)(v)
	}
}
