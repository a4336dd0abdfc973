package certs

import (
	"crypto/x509"
	"slices"
	"time"
)

// JudgeAuthorities says what keeps out clients who show certificates of these authorities, or will soon: their dates. One
// that is not good any more, or not yet, beside one that is good is a warning: its own clients alone are kept out.
func JudgeAuthorities(all []*x509.Certificate, now time.Time) []Finding {
	good := func(c *x509.Certificate) bool { return !now.Before(c.NotBefore) && !now.After(c.NotAfter) }
	others := slices.ContainsFunc(all, good)
	j := judge{now: now}
	for _, c := range all {
		word, say := "must", j.errorf
		if others {
			word, say = "should", j.warnf
		}
		switch {
		case now.After(c.NotAfter):
			say("%s be of authorities that are valid, got one (%q) that ended on %s: no client with a certificate of it gets in", word, name(c), day(c.NotAfter))
		case now.Before(c.NotBefore):
			say("%s be of authorities that are valid, got one (%q) that begins on %s: no client with a certificate of it gets in until then", word, name(c), day(c.NotBefore))
		case EndsSoon(c.NotAfter, now):
			j.warnf("should be renewed%s: the one in use (%q) %s, and every certificate of it with it", urgency(c.NotAfter, now), name(c), Expiry(c.NotAfter, now))
		}
	}
	return j.found
}
