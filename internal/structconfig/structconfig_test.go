package structconfig_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/fault"
	"github.com/emqx-oci/emqx-oci/internal/structconfig"
)

// library has a field of each kind and with each tag.
type library struct {
	// Computed is no configuration.
	Computed string `cfg:"-"`
	// hidden is none, either.
	hidden string

	Name     string            `cfg:"name" required:"true" format:"slug"`
	Kind     string            `cfg:"kind" oneof:"public|private" why:"the law knows no other"`
	Open     bool              `cfg:"open"`
	Fee      float64           `cfg:"fee" unit:"EUR" range:"0..9.5"`
	Branches []string          `cfg:"branches" required:"true" format:"slug"`
	Shelves  map[string]int64  `cfg:"shelves" keys:"slug" range:"1..40" step:"2"`
	Labels   map[string]string `cfg:"labels" length:"1..5"`
	Loans    loans             `cfg:"loans"`
	Door     *door             `cfg:"door"`
	PIN      pin               `cfg:"pin" required:"true" secret:"true" length:"4.." format:"digits"`
	Spare    pin               `cfg:"spare" format:"digits"`
}

type loans struct {
	Most  int   `cfg:"most" range:"1..20"`
	Rules rules `cfg:",inline"`
	Weeks
	Reminder *time.Duration `cfg:"reminder" range:"24h.."`
}

type rules struct {
	Fines int `cfg:"fines" range:"0..3"`
}

type Weeks struct {
	Term time.Duration `cfg:"term" range:"24h..720h" step:"1s"`
}

type door struct {
	Code *string `cfg:"code" required:"true" format:"digits"`
	Auto *bool   `cfg:"auto"`
}

type pin string

func (p pin) Reveal() string { return string(p) }

func formats(name string) (structconfig.Format, bool) {
	switch name {
	case "slug":
		return structconfig.Format{
			Want: "lower-case letters, such as main", Short: "name", Pattern: `^[a-z]+$`, Check: func(s string) bool { return s != "none" },
			Suggest: func(s string) string {
				if lower := strings.ToLower(s); lower != s {
					return lower
				}
				return ""
			},
		}, true
	case "digits":
		return structconfig.Format{Want: "digits", Short: "digits", Pattern: `^[0-9]+$`}, true
	case "book":
		return structconfig.Format{
			Want: "a number such as isbn-1 or a title", Short: "number or title", Pattern: `^isbn-[0-9]+$`,
			Name: &structconfig.Name{NotPrefix: "isbn-", Length: 10},
		}, true
	}
	return structconfig.Format{}, false
}

func defaults() library {
	return library{hidden: "no tag", Kind: "public", Open: true, Loans: loans{Most: 5, Weeks: Weeks{Term: 336 * time.Hour}}}
}

var spec = structconfig.Describe(defaults(), structconfig.Options{Format: formats, Placeholder: "(sealed)"})

// read decodes and validates, as a program does.
func read(text string, about structconfig.Validation) (library, error) {
	var given map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &given); err != nil {
		return library{}, err
	}
	var f fault.List
	l := defaults()
	spec.Decode(&f, given, &l)
	spec.Validate(&f, &l, about)
	return l, structconfig.WithPrefix(f.Err(), "town:")
}

const good = `"name": "main", "branches": ["north"], "pin": "1234"`

func TestGivenValuesWinAndDefaultsStay(t *testing.T) {
	l, err := read(`{`+good+`, "open": false, "fee": 1.5, "shelves": {"a": 12}, "labels": {"x y": "z"}, "spare": "7",
		"loans": {"term": "48h", "reminder": "36h", "fines": 2}, "door": {"code": "99", "auto": true}}`, structconfig.Validation{})
	assert.NilError(t, err)
	assert.Equal(t, l.Kind, "public")
	assert.Equal(t, l.Open, false)
	assert.Equal(t, l.Fee, 1.5)
	assert.DeepEqual(t, l.Branches, []string{"north"})
	assert.DeepEqual(t, l.Shelves, map[string]int64{"a": 12})
	assert.DeepEqual(t, l.Labels, map[string]string{"x y": "z"})
	assert.Equal(t, l.Loans.Most, 5)
	assert.Equal(t, l.Loans.Term, 48*time.Hour)
	assert.Equal(t, *l.Loans.Reminder, 36*time.Hour)
	assert.Equal(t, l.Loans.Rules.Fines, 2)
	assert.Equal(t, *l.Door.Code, "99")
	assert.Equal(t, *l.Door.Auto, true)
	assert.Equal(t, l.PIN.Reveal(), "1234")

	l, err = read(`{`+good+`}`, structconfig.Validation{})
	assert.NilError(t, err)
	assert.Assert(t, l.Door == nil && l.Loans.Reminder == nil && l.Open)
}

// A struct is copied with its pointers: two that come from one must not share.
func TestDecodingChangesOneStructAlone(t *testing.T) {
	code, closed := "1", false
	base := library{Door: &door{Code: &code, Auto: &closed}}
	one := base
	var f fault.List
	spec.Decode(&f, map[string]json.RawMessage{"door": json.RawMessage(`{"code": "2"}`)}, &one)
	assert.NilError(t, f.Err())
	assert.Equal(t, *one.Door.Code, "2")
	assert.Equal(t, *one.Door.Auto, false)
	assert.Equal(t, *base.Door.Code, "1")
}

// Each fault, with its prefix, and all of an input at once.
func TestFaults(t *testing.T) {
	for text, want := range map[string]string{
		`{}`: "town:branches: must hold at least one: lower-case letters, such as main\n" +
			"town:name: must be set, to lower-case letters, such as main\ntown:pin: is not set",
		`{` + good + `, "oepn": true}`:                          `town:oepn: is not a known setting; did you mean "open"?`,
		`{` + good + `, "loans": {"zzzzzz": 1}}`:                `town:loans.zzzzzz: is not a known setting; known here: fines, most, reminder, term`,
		`{` + good + `, "loans": [1]}`:                          `town:loans: must be a group of settings`,
		`{` + good + `, "loans": null}`:                         `town:loans: has no value; remove the key or give it one`,
		`{` + good + `, "loans": "(sealed)"}`:                   `town:loans: must not be encrypted by itself: it would come as text`,
		`{` + good + `, "loans": {"most": "3"}}`:                `town:loans.most: must be a whole number (without quotes), got "3"`,
		`{` + good + `, "loans": {"most": 1.5}}`:                `town:loans.most: must be a whole number, got 1.5`,
		`{` + good + `, "loans": {"most": 21}}`:                 `town:loans.most: must be 1 to 20, got 21`,
		`{` + good + `, "loans": {"fines": -1}}`:                `town:loans.fines: must be 0 to 3, got -1`,
		`{` + good + `, "loans": {"term": 3}}`:                  `town:loans.term: must be a duration such as "90s" or "10m", got 3`,
		`{` + good + `, "loans": {"term": "24h0.5s"}}`:          `town:loans.term: must be 24h to 720h in whole seconds, got 24h0m0.5s`,
		`{` + good + `, "loans": {"reminder": "90m"}}`:          `town:loans.reminder: must be at least 24h, got 1h30m`,
		`{` + good + `, "open": "yes"}`:                         `town:open: must be true or false, got "yes"`,
		`{` + good + `, "fee": "x"}`:                            `town:fee: must be a number, got "x"`,
		`{` + good + `, "fee": 9.75}`:                           `town:fee: must be 0 to 9.5, got 9.75`,
		`{` + good + `, "kind": 1.10}`:                          `town:kind: must be a string (quote it), got 1.10`,
		`{` + good + `, "kind": "secret"}`:                      `town:kind: must be public or private, got "secret": the law knows no other`,
		`{` + good + `, "kind": ""}`:                            `town:kind: must not be empty; remove the key for the default`,
		`{` + good + `, "shelves": [1]}`:                        `town:shelves: must be a group of names and values`,
		`{` + good + `, "shelves": {"A": 2}}`:                   `town:shelves.A: must be lower-case letters, such as main`,
		`{` + good + `, "shelves": {"a": 3, "b": 42, "c": ""}}`: "town:shelves.a: must be 1 to 40 in steps of 2, got 3\ntown:shelves.b: must be 1 to 40 in steps of 2, got 42\n" + `town:shelves.c: must be a whole number, got ""`,
		`{` + good + `, "labels": {"a": "toolong", "b": 1}}`:    "town:labels.a: must have 1 to 5 characters, got 7\ntown:labels.b: must be a string (quote it), got 1",
		`{` + good + `, "branches": "north"}`:                   `town:branches: must be a list, got "north"`,
		`{` + good + `, "branches": ["", 2, "none"]}`:           "town:branches[0]: must not be empty\ntown:branches[1]: must be a string (quote it), got 2\n" + `town:branches[2]: must be lower-case letters, such as main, got "none"`,
		`{` + good + `, "name": "Main"}`:                        `town:name: must be lower-case letters, such as main, got "Main"; did you mean "main"?`,
		`{` + good + `, "name": " "}`:                           `town:name: must be set, to lower-case letters, such as main`,
		`{` + good + `, "pin": 1234}`:                           `town:pin: must be a string (the value is a secret and not shown)`,
		`{` + good + `, "pin": "999"}`:                          `town:pin: must have at least 4 characters, got 3`,
		`{` + good + `, "pin": "tell-nobody"}`:                  `town:pin: must be digits`,
		`{` + good + `, "pin": "(sealed)"}`:                     `town:pin: must be digits`,
		`{` + good + `, "door": {}}`:                            `town:door.code: must be set, to digits`,
		`{` + good + `, "door": 7}`:                             `town:door: must be a group of settings`,
		`{` + good + `, "door": {"code": "x", "auto": 1}}`:      "town:door.auto: must be true or false, got 1\n" + `town:door.code: must be digits, got "x"`,
	} {
		_, err := read(text, structconfig.Validation{})
		assert.Check(t, err != nil && err.Error() == want, "%s\n got %v\nwant %s", text, err, want)
	}
}

func TestWhatDoesNotFitIsLeftOut(t *testing.T) {
	l, err := read(`{`+good+`, "fee": 2, "shelves": {"a": 2, "b": "x"}, "loans": {"most": "x", "term": 1}, "door": {"auto": "x"}}`, structconfig.Validation{})
	assert.ErrorContains(t, err, "town:shelves.b: ")
	assert.DeepEqual(t, l.Shelves, map[string]int64{"a": 2})
	assert.Equal(t, l.Fee, 2.0)
	assert.Equal(t, l.Loans.Most, 5)
	assert.Equal(t, l.Loans.Term, 336*time.Hour)
	assert.Assert(t, l.Door.Auto == nil)
}

func TestASecretThatIsNotAtHandIsLeftAlone(t *testing.T) {
	_, err := read(`{`+good+`, "pin": "(sealed)"}`, structconfig.Validation{Offline: true})
	assert.NilError(t, err)
}

func TestAMissingSecretTellsHowToSetIt(t *testing.T) {
	_, err := read(`{"name": "main", "branches": ["north"]}`, structconfig.Validation{HowToSet: func(path string) string { return "say " + path }})
	assert.Error(t, err, "town:pin: is not set; say pin")
}

func TestAbsent(t *testing.T) {
	for text, want := range map[string]bool{
		"is not set": true, "is not set; say x": true, "must be set": true, "must be set, to digits": true,
		"must hold at least one": true, "must hold at least one: name": true, "must be set with the key": false, "must be 1 to 2, got 3": false,
	} {
		assert.Equal(t, structconfig.Absent(fault.Fault{Text: text}), want, text)
	}
}

// The struct may come from Go code, and what is at fault already is left alone.
func TestAFilledStructIsValidated(t *testing.T) {
	code := "99x"
	l := library{
		Name: "Main", Kind: "private", Loans: loans{Most: 99, Weeks: Weeks{Term: time.Hour}}, Shelves: map[string]int64{"b": 50, "a": 1},
		Door: &door{Code: &code},
	}
	var f fault.List
	f.Add("loans", "must not be")
	f.Add("name", "must be another")
	spec.Validate(&f, l, structconfig.Validation{})
	assert.Error(t, f.Err(), strings.Join([]string{
		"branches: must hold at least one: lower-case letters, such as main",
		`door.code: must be digits, got "99x"`,
		"loans: must not be",
		"name: must be another",
		"pin: is not set",
		"shelves.a: must be 1 to 40 in steps of 2, got 1",
		"shelves.b: must be 1 to 40 in steps of 2, got 50",
	}, "\n"))
	assert.Assert(t, structconfig.HasAbove(&f, "loans.most") && structconfig.HasAbove(&f, "name") && !structconfig.HasAbove(&f, "kind"))
}

func TestNames(t *testing.T) {
	type shelf struct {
		Book string `cfg:"book" format:"book"`
	}
	s := structconfig.Describe(shelf{}, structconfig.Options{Format: formats})
	for book, ok := range map[string]bool{"isbn-12": true, "isbn-x": false, "A title": true, "A longer title": false, "": true} {
		var f fault.List
		s.Validate(&f, shelf{Book: book}, structconfig.Validation{})
		assert.Equal(t, f.Err() == nil, ok, book)
	}
}

func TestFieldsTellWhatIsKnown(t *testing.T) {
	var said []string
	for _, f := range spec.Values() {
		said = append(said, fmt.Sprintf("%s %s.%s %v %q %s", f.Path, f.Struct.Name(), f.Name, f.Type, f.DefaultString(), f.Limits()))
	}
	assert.DeepEqual(t, said, []string{
		`name library.Name string "" `,
		`kind library.Kind string "public" `,
		`open library.Open bool "true" `,
		`fee library.Fee float64 "" 0 to 9.5`,
		`branches library.Branches []string "" `,
		`shelves library.Shelves map[string]int64 "" 1 to 40 in steps of 2`,
		`labels library.Labels map[string]string "" `,
		`loans.most loans.Most int "5" 1 to 20`,
		`loans.fines rules.Fines int "0" 0 to 3`,
		`loans.term Weeks.Term time.Duration "336h" 24h to 720h in whole seconds`,
		`loans.reminder loans.Reminder time.Duration "" at least 24h`,
		`door.code door.Code string "" `,
		`door.auto door.Auto bool "" `,
		`pin library.PIN structconfig_test.pin "" `,
		`spare library.Spare structconfig_test.pin "" `,
	})
	number, texts := "5", map[string]string{}
	collect := func(path string, _ *structconfig.Field, text string) { texts[path] = text }
	spec.EachText(&library{PIN: "12", Door: &door{Code: &number}}, collect)
	assert.DeepEqual(t, texts, map[string]string{"pin": "12", "door.code": "5"})
	spec.EachText(library{}, func(path string, _ *structconfig.Field, text string) { t.Errorf("%s: %s", path, text) })
}

// shop has groups in a list.
type shop struct {
	Staff []clerk `cfg:"staff" required:"true"`
}

type clerk struct {
	Name  string   `cfg:"name" required:"true" format:"slug"`
	PIN   pin      `cfg:"pin" secret:"true" length:"2.."`
	Days  []string `cfg:"days" oneof:"mon|tue"`
	Hours struct {
		Most int `cfg:"most" range:"1..8"`
	} `cfg:"hours"`
}

func TestAListOfGroups(t *testing.T) {
	s := structconfig.Describe(shop{}, structconfig.Options{Format: formats, Placeholder: "[hidden]"})
	read := func(text string) (shop, string) {
		var f fault.List
		var v shop
		s.Decode(&f, map[string]json.RawMessage{"staff": json.RawMessage(text)}, &v)
		s.Validate(&f, &v, structconfig.Validation{})
		if err := f.Err(); err != nil {
			return v, err.Error()
		}
		return v, ""
	}
	v, got := read(`[{"name": "ann", "pin": "1234", "days": ["tue"], "hours": {"most": 8}}, {"name": "bob", "hours": {"most": 1}}]`)
	assert.Equal(t, got, "")
	assert.Equal(t, v.Staff[1].Name, "bob")
	assert.Equal(t, v.Staff[0].Hours.Most, 8)
	var paths []string
	s.EachText(v, func(path string, f *structconfig.Field, _ string) {
		if f.Secret {
			paths = append(paths, path)
		}
	})
	assert.DeepEqual(t, paths, []string{"staff[0].pin"})
	for text, want := range map[string]string{
		`[]`:               "staff: must hold at least one",
		`{"name": "x"}`:    "staff: must be a list of groups of settings",
		`[null, "secret"]`: "staff[0]: has no value; remove the key or give it one\nstaff[1]: must be a group of settings",
		`[{"name": "A", "pin": "1", "days": ["sun"], "hours": {"most": 9}, "nme": 1}]`: "staff[0].days[0]: must be mon or tue, got \"sun\"\n" +
			"staff[0].hours.most: must be 1 to 8, got 9\n" +
			"staff[0].name: must be lower-case letters, such as main, got \"A\"; did you mean \"a\"?\n" +
			"staff[0].nme: is not a known setting; did you mean \"name\"?\n" +
			"staff[0].pin: must have at least 2 characters, got 1",
	} {
		_, got := read(text)
		assert.Equal(t, got, want, text)
	}
}

// A tag that says nothing is a fault of the program, and found at its start.
func TestTagsThatSayNothingPanic(t *testing.T) {
	for want, v := range map[string]any{
		`field struct { X int }.X has no tag "cfg" with its key`: struct{ X int }{},
		`two fields have the key x`: struct {
			X int `cfg:"x"`
			Y int `cfg:"x"`
		}{},
		`x has the format "none", and none is called so`: struct {
			X string `cfg:"x" format:"none"`
		}{},
		`reading the tags of x: strconv.ParseFloat: parsing "1s": invalid syntax`: struct {
			X int `cfg:"x" range:"1s.."`
		}{},
		`reading the tags of y: time: missing unit in duration "1"`: struct {
			Y time.Duration `cfg:"y" step:"1"`
		}{},
		`x is required, and a int is always there: make it a pointer`: struct {
			X int `cfg:"x" required:"true"`
		}{},
		`x has the type [][]string, which is none of configuration`: struct {
			X [][]string `cfg:"x"`
		}{},
		`x is a list of groups, which cannot have a default`: struct {
			X []struct{} `cfg:"x"`
		}{make([]struct{}, 1)},
		`x has the type map[int]string, which is none of configuration`: struct {
			X map[int]string `cfg:"x"`
		}{},
		`x has the type uint, which is none of configuration`: struct {
			X uint `cfg:"x"`
		}{},
	} {
		assert.Equal(t, panicked(func() { structconfig.Describe(v, structconfig.Options{Format: formats}) }), "structconfig: "+want)
	}
	assert.Equal(t, panicked(func() { spec.Validate(&fault.List{}, rules{}, structconfig.Validation{}) }),
		"structconfig: got a structconfig_test.rules, want a structconfig_test.library")
}

func panicked(do func()) (said string) {
	defer func() { said = fmt.Sprint(recover()) }()
	do()
	return ""
}
