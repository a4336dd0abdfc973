package faults

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/emqx-oci/emqx-oci/lab/cloud"
)

// Fault is one thing to break.
type Fault struct {
	Name string `json:"name"`
	// Target as the table says: node numbers, a domain, servers, a duration, a code.
	Target []string `json:"target,omitempty"`
	// For is how long it lasts; 0 until it is undone.
	For time.Duration `json:"for,omitempty"`
	// Match and Rate narrow fail-api: a part of the call (of "CreateVolume
	// oci:Core/volume:Volume" or "oci bv volume list"), and the part of the calls that
	// fail, default 1.
	Match string  `json:"match,omitempty"`
	Rate  float64 `json:"rate,omitempty"`
}

// String is the fault as it is typed.
func (f Fault) String() string {
	words := append([]string{f.Name}, f.Target...)
	if f.Match != "" {
		words = append(words, "--match", strconv.Quote(f.Match))
	}
	if f.Rate != 0 && f.Rate != 1 {
		words = append(words, "--rate", strconv.FormatFloat(f.Rate, 'g', -1, 64))
	}
	return strings.Join(words, " ")
}

// Active is a fault that has not been undone.
type Active struct {
	Fault
	Since time.Time `json:"since"`
	Until time.Time `json:"until,omitzero"` // when it is undone by itself
}

// Injector breaks one lab. The daemon's Set is one, and so is a client of it.
type Injector interface {
	// Do breaks something. Doing it again changes nothing, but for kills.
	Do(context.Context, Fault) error
	// Undo repairs it; what is not broken stays as it is. A fault of the API without a
	// target stands for all of its name.
	Undo(context.Context, Fault) error
	// Active lists what has not been undone, oldest first.
	Active(context.Context) ([]Active, error)
	// Clear undoes everything, the newest first.
	Clear(context.Context) error
}

// Do breaks something in a lab.
func Do(ctx context.Context, lab Injector, f Fault) error {
	if _, err := f.check(false); err != nil {
		return err
	}
	return lab.Do(ctx, f)
}

// Undo repairs what Do broke.
func Undo(ctx context.Context, lab Injector, f Fault) error {
	if _, err := f.check(true); err != nil {
		return err
	}
	return lab.Undo(ctx, f)
}

// code is one way in which the API fails.
type code struct {
	status        int
	code, message string
}

// codes are those that OCI's documents name for all of its services; the texts are
// theirs (docs.oracle.com, API/References/apierrors.htm). Conflict is, as that page
// has it, no passing state; the official provider repeats it for two minutes all the same.
var codes = []code{
	{429, "TooManyRequests", "You have issued too many requests to the Oracle Cloud Infrastructure APIs in too short of an amount of time."},
	{409, "IncorrectState", "The requested state for the resource conflicts with its current state."},
	{409, "Conflict", "The requested state for the resource conflicts with its current state."},
	{500, "InternalServerError", "An internal server error occurred."},
	{0, "timeout", ""},
	{0, lostAnswer, ""},
}

// lostAnswer is a timeout of a call that was done all the same.
const lostAnswer = "lost-answer"

func codeNames() []string {
	var out []string
	for _, c := range codes {
		name := c.code
		if c.status != 0 {
			name = fmt.Sprintf("%d %s", c.status, c.code)
		}
		out = append(out, name)
	}
	return out
}

// findCode takes a number or a name; 409 alone is IncorrectState.
func findCode(word string) (code, bool) {
	at := slices.IndexFunc(codes, func(c code) bool {
		return strings.EqualFold(c.code, word) || c.status != 0 && strconv.Itoa(c.status) == word
	})
	if at < 0 {
		return code{}, false
	}
	return codes[at], true
}

// check tells what is wrong with a fault, as far as that shows without a lab.
func (f Fault) check(undo bool) (Kind, error) {
	k, err := find(f.Name)
	if err != nil {
		return k, err
	}
	var errs []error
	wrong := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf(f.Name+": "+format, args...))
	}
	if undo && !k.Lasts() {
		wrong("there is nothing to undo: it does not last")
		return k, errors.Join(errs...)
	}
	want := len(strings.Fields(k.Target))
	isAPI := k.target == onDuration || k.target == onCode
	switch {
	case undo && isAPI && len(f.Target) == 0: // all of them
	case len(f.Target) != want:
		wrong("wants %d target(s), got %d: lab fault %s %s", want, len(f.Target), k.Name, k.Target)
	default:
		switch k.target {
		case onNode, onNodes:
			for _, t := range f.Target {
				if n, err := strconv.Atoi(t); err != nil || n < 0 {
					wrong("a node is named by its number, got %q", t)
				}
			}
			if k.target == onNodes && f.Target[0] == f.Target[1] {
				wrong("wants two different nodes, got %s twice", f.Target[0])
			}
		case onDomain:
			if _, ok := domain(f.Target[0]); !ok {
				wrong("no availability domain %q: there are %s", f.Target[0], strings.Join(cloud.AvailabilityDomains, ", "))
			}
		case onServers:
			if len(servers(f.Target[0])) == 0 {
				wrong("the servers are consul, nomad or both, got %q", f.Target[0])
			}
		case onDuration:
			if d, err := time.ParseDuration(f.Target[0]); err != nil || d <= 0 || d > time.Hour {
				wrong("wants a duration above 0 and up to 1h, such as 2s, got %q", f.Target[0])
			}
		case onCode:
			if _, ok := findCode(f.Target[0]); !ok {
				wrong("no such code %q: there are %s", f.Target[0], strings.Join(codeNames(), ", "))
			}
		}
	}
	if f.For < 0 || f.For > 0 && !k.Lasts() {
		wrong("--for: it does not last")
	}
	if k.target != onCode && (f.Match != "" || f.Rate != 0) {
		wrong("--match and --rate are for fail-api")
	}
	if f.Rate < 0 || f.Rate > 1 {
		wrong("--rate: must be above 0 and at most 1, got %g", f.Rate)
	}
	return k, errors.Join(errs...)
}

// domain accepts LAB:AD-1, AD-1 and 1.
func domain(word string) (string, bool) {
	for i, ad := range cloud.AvailabilityDomains {
		_, short, _ := strings.Cut(ad, ":")
		if strings.EqualFold(word, ad) || strings.EqualFold(word, short) || word == strconv.Itoa(i+1) {
			return ad, true
		}
	}
	return "", false
}

func servers(word string) []string {
	switch word {
	case "consul", "nomad":
		return []string{word}
	case "both":
		return []string{"consul", "nomad"}
	}
	return nil
}

// key is the same for faults that are the same.
func (f Fault) key() string {
	t := slices.Clone(f.Target)
	switch f.Name {
	case "slow-api":
		t = nil // one replaces the other
	case "cut-nodes":
		slices.Sort(t)
	case "lose-domain":
		t[0], _ = domain(t[0])
	case "fail-api":
		if len(t) > 0 {
			c, _ := findCode(t[0])
			t = []string{c.code, strings.ToLower(f.Match)}
		}
	}
	return strings.Join(append([]string{f.Name}, t...), " ")
}

// Check tells what is wrong with a fault, or with undoing it, as far as that shows
// without a lab.
func (f Fault) Check(undo bool) error {
	_, err := f.check(undo)
	return err
}
