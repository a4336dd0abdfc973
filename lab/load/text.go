package load

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

// maxShown bounds the losses that the text lists.
const maxShown = 20

// Text writes the report for people.
func (r Report) Text(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(name, format string, args ...any) {
		_, _ = fmt.Fprintf(t, "%s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	ended := ""
	if r.Interrupted {
		ended = ", ended early"
	}
	line("workload", "%d publishers, %d subscribers, %g msg/s each, QoS %d, %d bytes, %.1f s%s",
		r.Publishers, r.Subscribers, r.Rate, r.QoS, r.PayloadBytes, r.Seconds, ended)
	line("endpoints", "%s", strings.Join(r.Endpoints, " "))
	sent := fmt.Sprintf("%d", r.Sent)
	for _, more := range []struct {
		n    uint64
		what string
	}{{r.Resent, "sent again"}, {r.Skipped, "skipped"}} {
		if more.n > 0 {
			sent += fmt.Sprintf(", %d %s", more.n, more.what)
		}
	}
	line("sent", "%s", sent)
	if r.QoS > 0 {
		line("acknowledged", "%d, %d of them to nobody, refused %d, unanswered %d", r.Acknowledged, r.Unrouted, r.Refused, r.Unacknowledged)
	}
	line("received", "%d of %d", r.Received, r.Expected)
	line("lost", "%d", r.Lost)
	line("lost with session", "%d", r.LostWithSession)
	line("missed while away", "%d", r.MissedWhileAway)
	line("duplicated", "%d", r.Duplicated)
	line("out of order", "%d", r.OutOfOrder)
	line("longest gap", "%.3f s (%s)", r.LongestGapSeconds, r.LongestGapOf)
	if r.QoS > 0 {
		line("time to acknowledge", "%s", r.AcknowledgeTime)
	}
	line("time to deliver", "%s", r.DeliveryTime)
	line("connections", "%d, reconnects %d, sessions lost %d, still away %d", r.Connections, r.Reconnects, r.SessionsLost, r.StillAway)
	if r.Reconnects > 0 {
		line("time to reconnect", "%s", r.ReconnectTime)
	}
	if r.AwayMax > 0 {
		line("longest away", "%.3f s in all", r.AwayMax)
	}
	for _, kind := range slices.Sorted(maps.Keys(r.Errors)) {
		line("error", "%s, %d times", kind, r.Errors[kind])
	}
	for _, s := range r.Nodes {
		var nodes []string
		for _, node := range slices.Sorted(maps.Keys(s.Connections)) {
			nodes = append(nodes, fmt.Sprintf("%s %d", node, s.Connections[node]))
		}
		line(fmt.Sprintf("nodes at %.1f s", s.AtSeconds), "%s", strings.Join(nodes, ", "))
	}
	for i, l := range r.Losses {
		if i == maxShown {
			line("...", "and %d more entries", len(r.Losses)-maxShown)
			break
		}
		what := map[Fate]string{Lost: "lost", LostWithSession: "lost with session", MissedWhileAway: "missed"}
		line(what[l.Fate], "%s: %d to %d of %s, sent from %.3f s, acknowledged until %.3f s", l.Subscriber, l.From, l.To, l.Publisher, l.SentAtSeconds, l.AckedAtSeconds)
	}
	return t.Flush()
}

func (q Quantiles) String() string {
	return fmt.Sprintf("p50 %.3f s, p99 %.3f s, longest %.3f s", q.P50, q.P99, q.Max)
}

func (e Event) String() string {
	return fmt.Sprintf("%6.1f s  %6.0f sent/s  %6.0f received/s  %4d connected  %4d reconnecting  %d lost  %d with session  %d missed",
		e.AtSeconds, e.SentRate, e.ReceivedRate, e.Connected, e.Reconnecting, e.Lost, e.LostWithSession, e.MissedWhileAway)
}
