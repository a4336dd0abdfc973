package ocidns

import (
	"fmt"

	"github.com/emqx-oci/emqx-oci/components/blast"
	"github.com/emqx-oci/emqx-oci/components/blast/phrase"
)

const (
	wordsRecord = "oci:Rrset"
	// wordsRecordSeconds is what OCI takes for a record: that of lab/cloud/latency.go, which names its source.
	wordsRecordSeconds = 4
)

// words speak of the record set.
type words struct{}

// Words are those for the changes of a record set in a plan.
func (Names) Words() blast.NameWords { return words{} }

// ClaimFollowers is part of blast.NameWords.
func (w words) ClaimFollowers(a *blast.Assessment) (followers []*blast.Change, keep string) {
	followers = a.Claim(func(c *blast.Change) bool {
		return blast.Of(wordsRecord, blast.Update)(c) && c.Diff("items[0].rdata") != nil
	})
	return followers, w.ttl(a, followers)
}

// ttl is how long resolvers keep what they have: the record's old one.
func (words) ttl(a *blast.Assessment, records []*blast.Change) string {
	for _, c := range records {
		if d := c.Diff("items[0].ttl"); d != nil {
			return blast.Value(d.Old) + " s"
		}
	}
	return fmt.Sprintf("%d s", a.Settings.DNS.TTL)
}

// NameLines is part of blast.NameWords.
func (w words) NameLines(a *blast.Assessment) {
	records := a.Claim(func(c *blast.Change) bool { return c.ShortType() == wordsRecord })
	if len(records) > 0 {
		a.Takes(blast.Naming, blast.Part{What: "the DNS record", Seconds: a.Latency(wordsRecordSeconds)})
	}
	for _, c := range records {
		one := []*blast.Change{c}
		address, ttl := c.Diff("items[0].rdata"), c.Diff("items[0].ttl")
		l := blast.Line{Severity: blast.Notice, Area: blast.AreaNames}
		was, _ := c.Old["domain"].(string)
		switch {
		case c.Op == blast.Create:
			l.Severity, l.Text = blast.None, a.Settings.DNS.Name+" is made, once the balancer finds healthy backends"
		case c.Op == blast.Delete:
			l.Severity, l.Text, l.Brief = blast.Interruption, "The DNS record goes away: clients no longer find the balancer", "DNS record removed"
		case c.Op == blast.Replace && c.Diff("domain") != nil:
			l.Severity, l.Brief = blast.Interruption, "DNS name "+was+" goes away"
			l.Text = fmt.Sprintf("The DNS name %s goes away, %s comes", was, a.Settings.DNS.Name)
			l.Details = []string{"Clients that know only the old name cannot connect once resolvers have forgotten it. A certificate has to name the new one."}
		case c.Op == blast.Replace:
			l.Severity, l.Brief = blast.Interruption, "DNS record replaced"
			l.Text = "The DNS record is replaced" + phrase.Bracket(blast.Differences(one, nil))
			l.Details = []string{"The name does not resolve in between."}
		case address != nil:
			l.Severity, l.Brief = blast.Interruption, "DNS record gets another address"
			l.Text = a.Settings.DNS.Name + " gets another address" + phrase.Bracket(address.Words("address"))
			l.Details = []string{"Resolvers keep the old one for up to " + w.ttl(a, one) + "."}
		case ttl != nil:
			l.Text = fmt.Sprintf("%s may be kept by resolvers for %s s instead of %s s", a.Settings.DNS.Name, blast.Value(ttl.New), blast.Value(ttl.Old))
		default:
			l.Text = "The DNS record changes" + phrase.Bracket(blast.Differences(one, nil))
		}
		a.Add(l, one)
	}
}
