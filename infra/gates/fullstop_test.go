package gates

import (
	"testing"

	"gotest.tools/v3/assert"
)

func TestWhoWaitsForWhom(t *testing.T) {
	in := func(n string, v MemberView) Member {
		return Member{Node: n, Name: "emqx@" + n, Alloc: n + "-0000-0000", View: &v}
	}
	waits := func(n string) Member { return in(n, MemberView{Closed: true}) }
	serves := in("a", MemberView{Answered: true})
	away := func(n string) Member { return Member{Node: n, Name: "emqx@" + n, Away: "its node is down"} }
	const force = "`nomad alloc exec -task emqx a-0000-0 emqx_cluster_rescue force-load` on one of them"
	for name, c := range map[string]struct {
		members    []Member
		what, next string
	}{
		"one serves":               {[]Member{waits("a"), serves, away("c")}, "", ""},
		"a cluster of one":         {[]Member{waits("a")}, "", ""},
		"nobody is there":          {[]Member{away("a"), away("b")}, "", ""},
		"a first start":            {[]Member{in("a", MemberView{Closed: true, Fresh: true}), in("b", MemberView{Closed: true, Fresh: true})}, "", ""},
		"one of them starts empty": {[]Member{waits("a"), in("b", MemberView{Closed: true, Fresh: true})}, "", ""},
		"one is late":              {[]Member{waits("a"), in("b", MemberView{Late: true}), away("c")}, "", ""},
		"one answers otherwise":    {[]Member{waits("a"), in("b", MemberView{Says: "its API answers 503"})}, "", ""},
		"all wait":                 {[]Member{waits("a"), waits("b")}, "no member serves: a and b wait for one another; after a full stop each waits for the one that stopped last", "if it stays so: " + force},
		"one waits for two": {
			[]Member{waits("a"), away("b"), away("c")},
			"no member serves: a waits for the one that stopped last, which can only be emqx@b (its node is down) or emqx@c (its node is down): bring it back, and all serve by themselves",
			"only if it never returns, for what it alone knew is lost: " + force +
				", then `nomad alloc exec -task emqx a-0000-0 emqx ctl cluster force-leave emqx@b`, `nomad alloc exec -task emqx a-0000-0 emqx ctl cluster force-leave emqx@c`",
		},
	} {
		t.Run(name, func(t *testing.T) {
			what, next := WhoWaits(c.members)
			assert.Equal(t, what, c.what)
			assert.Equal(t, next, c.next)
		})
	}
}
