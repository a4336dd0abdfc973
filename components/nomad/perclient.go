package nomad

import (
	"strconv"
	"time"
)

// PerClient bounds what one client may do, 0 of each leaves it as it is: unbounded. The names
// are those of EMQX 5.8 (emqx_schema, emqx_limiter_schema).
type PerClient struct {
	// MessageRate is messages a second, ByteRateKB kilobytes of 1024 bytes a second: EMQX stops
	// reading from who sends more.
	MessageRate, ByteRateKB int
	// Subscriptions are those of one session.
	Subscriptions int
	// Flapping bans who connects too often; nil does not.
	Flapping *Flapping
}

// Flapping bans an identifier that connects for the Count-th time within a Window, for the time of Ban.
type Flapping struct {
	Count       int
	Window, Ban time.Duration
}

// vars are EMQX's variables of it, given the kinds of its listeners.
func (p PerClient) vars(tls bool) map[string]string {
	vars := map[string]string{}
	kinds := []string{"TCP", "WS"}
	if tls {
		kinds = append(kinds, "SSL", "WSS")
	}
	for _, kind := range kinds {
		of := "EMQX_LISTENERS__" + kind + "__DEFAULT__"
		if p.MessageRate > 0 {
			vars[of+"MESSAGES_RATE"] = strconv.Quote(strconv.Itoa(p.MessageRate) + "/s")
		}
		if p.ByteRateKB > 0 {
			vars[of+"BYTES_RATE"] = strconv.Quote(strconv.Itoa(p.ByteRateKB) + "KB/s")
		}
	}
	if p.Subscriptions > 0 {
		vars["EMQX_MQTT__MAX_SUBSCRIPTIONS"] = strconv.Itoa(p.Subscriptions)
	}
	if f := p.Flapping; f != nil {
		const of = "EMQX_FLAPPING_DETECT__"
		vars[of+"ENABLE"], vars[of+"MAX_COUNT"] = "true", strconv.Itoa(f.Count)
		vars[of+"WINDOW_TIME"], vars[of+"BAN_TIME"] = strconv.Quote(Seconds(f.Window)), strconv.Quote(Seconds(f.Ban))
	}
	return vars
}
