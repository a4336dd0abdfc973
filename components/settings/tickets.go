package settings

import (
	"crypto/rand"
	"encoding/base64"
	"strings"
)

const (
	// ticketKeys is how many HAProxy is given, and needs: the one before the last makes tickets.
	ticketKeys = 3
	// ticketKeySize is that of a key for AES-256 and HMAC-SHA256, with its name (HAProxy's
	// configuration.txt, "tls-ticket-keys").
	ticketKeySize = 80
)

func isTicketKeys(text string) bool {
	seen := map[string]bool{}
	lines := strings.Fields(text)
	for _, line := range lines {
		key, err := base64.StdEncoding.DecodeString(line)
		if err != nil || len(key) != ticketKeySize || seen[line] {
			return false
		}
		seen[line] = true
	}
	return len(lines) == ticketKeys
}

// RotateTicketKeys are keys of [TLS.TicketKeys] without the oldest and with a new one, or new
// ones where there are none. The new one reads tickets before it makes any: while the proxies
// take over the keys, one after another, each knows those of all others.
func RotateTicketKeys(keys Secret) Secret {
	lines := strings.Fields(keys.Reveal())
	if len(lines) >= ticketKeys {
		lines = lines[len(lines)-ticketKeys+1:]
	}
	for len(lines) < ticketKeys {
		key := make([]byte, ticketKeySize)
		_, _ = rand.Read(key) // it never fails
		lines = append(lines, base64.StdEncoding.EncodeToString(key))
	}
	return Secret(strings.Join(lines, "\n") + "\n")
}

// validateTickets checks what keys of session tickets need.
func (s *Settings) validateTickets(f checker) {
	t := s.TLS
	if t.TicketKeys == "" || f.Has("tls.terminate") || f.Has("tls.clients") {
		return
	}
	switch {
	case !t.Enabled() && t.PrivateKey == "":
		f.Add("tls.ticketKeys", "must not be set without tls.certificate")
	case t.Terminate == TerminateBroker:
		f.Add("tls.ticketKeys", "must not be set with tls.terminate: broker: EMQX 5.8 takes none")
	case t.Terminate == TerminateEdge:
		f.Add("tls.ticketKeys", "must not be set with tls.terminate: edge: OCI's balancer takes none")
	case t.Clients != ClientsNone:
		f.Add("tls.ticketKeys", "must not be set with tls.clients: %s: who resumes a session is not asked for the certificate again, and one that was revoked would go on", t.Clients)
	}
}
