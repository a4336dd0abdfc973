package broker

import (
	"encoding/json"
	"maps"
	"time"
)

// Tables that every member holds whole and keeps on disk, as EMQX's disc_copies.
const (
	confTable   = "cluster_rpc_mfa" // settings that were changed at run time, by root
	usersTable  = "emqx_authn_mnesia"
	rulesTable  = "emqx_acl"
	bannedTable = "emqx_banned"

	tablesFile = "tables.json"
)

// row is a record of a table. One without a value is gone; the newest wins.
type row struct {
	Value json.RawMessage `json:"v,omitempty"`
	At    int64           `json:"at"`
}

type tables map[string]map[string]row

func (t tables) put(table, key string, r row) bool {
	if old, ok := t[table][key]; ok && old.At >= r.At {
		return false
	}
	if t[table] == nil {
		t[table] = map[string]row{}
	}
	t[table][key] = r
	return true
}

func (t tables) merge(from tables) (changed bool) {
	for name, rows := range from {
		for key, r := range rows {
			changed = t.put(name, key, r) || changed
		}
	}
	return changed
}

// live are a table's records by key.
func (t tables) live(table string) map[string]json.RawMessage {
	out := map[string]json.RawMessage{}
	for key, r := range t[table] {
		if r.Value != nil {
			out[key] = r.Value
		}
	}
	return out
}

// put adds a record to what goes to other members.
func (d *clusterData) put(table, key string, r row) {
	if d.Tables == nil {
		d.Tables = tables{}
	}
	d.Tables.put(table, key, r)
}

func (t tables) clone() tables {
	out := make(tables, len(t))
	for name, rows := range t {
		out[name] = maps.Clone(rows)
	}
	return out
}

// sweep takes out what has been gone for so long that every member has heard of it.
func (t tables) sweep() {
	for _, rows := range t {
		maps.DeleteFunc(rows, func(_ string, r row) bool {
			return r.Value == nil && time.Since(time.Unix(0, r.At)) > tombstoneLife
		})
	}
}

// lookup reads a record; false when there is none.
func (r *records) lookup(table, key string, into any) bool {
	r.mu.Lock()
	found := r.tables[table][key]
	r.mu.Unlock()
	return found.Value != nil && json.Unmarshal(found.Value, into) == nil
}

// keysOf are the keys of a table's records, in order.
func (r *records) keysOf(table string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	live := map[string]bool{}
	for key, one := range r.tables[table] {
		if one.Value != nil {
			live[key] = true
		}
	}
	return sortedKeys(live)
}

// newerRows are those of from that are newer than what is here.
func (r *records) newerRows(table string, from map[string]row) map[string]row {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := map[string]row{}
	for key, one := range from {
		if old, ok := r.tables[table][key]; !ok || one.At > old.At {
			out[key] = one
		}
	}
	return out
}

// writeRows writes records on all running members, here first; a nil value takes one out.
func (n *node) writeRows(table string, rows map[string]any) error {
	news := tables{table: {}}
	for key, v := range rows {
		one := row{At: n.stamp()}
		if v != nil {
			var err error
			if one.Value, err = json.Marshal(v); err != nil {
				return err
			}
		}
		news[table][key] = one
	}
	d := &clusterData{Tables: news}
	n.data.merge(d)
	n.tell(d)
	return nil
}

// clearTable takes all records out, on all running members.
func (n *node) clearTable(table string) error {
	rows := map[string]any{}
	for _, key := range n.data.keysOf(table) {
		rows[key] = nil
	}
	return n.writeRows(table, rows)
}

// tell replicates records to the other running members.
func (n *node) tell(d *clusterData) {
	for _, p := range n.runningPeers() {
		if _, err := p.ask(n.ctx, &message{Op: "keys", Data: d}, 15*time.Second); err != nil {
			n.log.Warn("replicating records failed", "node", p.name.String(), "reason", err.Error())
		}
	}
}
