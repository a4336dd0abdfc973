package broker

import (
	"net/netip"
	"os"
	"regexp"
	"time"
)

// ban is a record of emqx_banned. It keeps a client from connecting; it does not end a
// connection, except that of a client identifier that is banned by name.
type ban struct {
	As     string `json:"as"` // clientid, username, peerhost, clientid_re, username_re, peerhost_net
	Who    string `json:"who"`
	By     string `json:"by"`
	Reason string `json:"reason"`
	At     int64  `json:"at"`    // unix seconds
	Until  int64  `json:"until"` // unix seconds; 0: for ever
}

func (b ban) over() bool { return b.Until != 0 && b.Until <= time.Now().Unix() }

func banKey(as, who string) string { return as + "/" + who }

// matches is emqx_banned:check.
func (b ban) matches(who *principal) bool {
	text := func(as string) (string, bool) {
		if as == "clientid" {
			return who.clientID, true
		}
		if who.username == nil {
			return "", false
		}
		return *who.username, true
	}
	switch b.As {
	case "clientid", "username":
		s, ok := text(b.As)
		return ok && s == b.Who
	case "clientid_re", "username_re":
		s, ok := text(b.As[:len(b.As)-len("_re")])
		re, err := regexp.Compile(b.Who)
		return ok && err == nil && re.MatchString(s)
	case "peerhost":
		a, err := netip.ParseAddr(b.Who)
		return err == nil && a == who.host
	case "peerhost_net":
		p, err := parseCIDR(b.Who)
		return err == nil && who.host.IsValid() && p.Contains(who.host)
	}
	return false
}

func (n *node) bans() []ban {
	var out []ban
	for _, key := range n.data.keysOf(bannedTable) {
		var b ban
		if n.data.lookup(bannedTable, key, &b) && !b.over() {
			out = append(out, b)
		}
	}
	return out
}

func (n *node) banned(who *principal) bool {
	for _, b := range n.bans() {
		if b.matches(who) {
			return true
		}
	}
	return false
}

// loadBans reads the file of bans while there is none; one that cannot be read is only told
// of (emqx_banned:init_from_csv).
func (n *node) loadBans() error {
	path := n.cfg.mqtt.banned
	if path == "" || len(n.data.keysOf(bannedTable)) > 0 {
		return nil
	}
	text, err := os.ReadFile(n.cfg.places().expand(path))
	var list []map[string]any
	if err == nil {
		list, err = readCSV(string(text))
	}
	if err != nil {
		n.log.Error("load_banned_bootstrap_file_failed", "file", path, "reason", err.Error())
		return nil
	}
	rows := map[string]any{}
	for _, m := range list {
		word := func(name string) string { s, _ := m[name].(string); return s }
		b := ban{As: word("as"), Who: word("who"), By: "mgmt_api", Reason: word("reason"), At: time.Now().Unix()}
		if word("by") != "" {
			b.By = word("by")
		}
		rows[banKey(b.As, b.Who)] = b
	}
	return n.writeRows(bannedTable, rows)
}
