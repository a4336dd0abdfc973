package main

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// sumLine is a line as sha256sum writes it: the sum, two spaces (or a space and a star), the file.
var sumLine = regexp.MustCompile(`^([0-9a-f]{64}) [ *](\S+)$`)

// parseSums reads a list of sums: each archive's SHA-256, in hexadecimal, by its name. Empty
// lines and those that begin with "#" say nothing. All faults come at once, with file and line.
func parseSums(file, text string) (map[string]string, error) {
	sums := map[string]string{}
	var faults []error
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		m := sumLine.FindStringSubmatch(line)
		switch {
		case m == nil:
			faults = append(faults, fmt.Errorf("%s:%d: must be a SHA-256 in hexadecimal, two spaces and a file's name, got %q", file, number, line))
		case sums[m[2]] != "" && sums[m[2]] != m[1]:
			faults = append(faults, fmt.Errorf("%s:%d: must give one sum for %s, got a second one", file, number, m[2]))
		default:
			sums[m[2]] = m[1]
		}
	}
	return sums, errors.Join(faults...)
}
