package broker

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// publication is a message between nodes and, when retained, on disk.
type publication struct {
	Topic    string                 `json:"t"`
	Payload  []byte                 `json:"p,omitempty"` // empty: the retained message is cleared
	QoS      byte                   `json:"q,omitempty"`
	Retain   bool                   `json:"-"`
	Origin   string                 `json:"o,omitempty"`
	At       int64                  `json:"at"`          // ns; among retained messages of a topic the newest wins
	Expiry   int64                  `json:"x,omitempty"` // unix seconds, 0 never
	Type     string                 `json:"ct,omitempty"`
	Response string                 `json:"rt,omitempty"`
	Corr     []byte                 `json:"cd,omitempty"`
	User     []packets.UserProperty `json:"u,omitempty"`
	Format   byte                   `json:"f,omitempty"`
	HasForm  bool                   `json:"hf,omitempty"`
}

func publicationOf(pk packets.Packet, at int64) *publication {
	p := &publication{
		Topic: pk.TopicName, Payload: pk.Payload, QoS: pk.FixedHeader.Qos, Retain: pk.FixedHeader.Retain, Origin: pk.Origin, At: at,
		Type: pk.Properties.ContentType, Response: pk.Properties.ResponseTopic, Corr: pk.Properties.CorrelationData,
		User: pk.Properties.User, Format: pk.Properties.PayloadFormat, HasForm: pk.Properties.PayloadFormatFlag,
	}
	if pk.Properties.MessageExpiryInterval > 0 {
		p.Expiry = pk.Expiry
	}
	return p
}

func (p *publication) packet() packets.Packet {
	now := time.Now().Unix()
	pk := packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: p.QoS, Retain: p.Retain},
		TopicName:   p.Topic, Payload: p.Payload, Origin: p.Origin, Created: now, ProtocolVersion: 5,
		Properties: packets.Properties{
			ContentType: p.Type, ResponseTopic: p.Response, CorrelationData: p.Corr, User: p.User,
			PayloadFormat: p.Format, PayloadFormatFlag: p.HasForm,
		},
	}
	if p.Expiry > 0 {
		pk.Expiry = p.Expiry
		pk.Properties.MessageExpiryInterval = uint32(max(1, p.Expiry-now)) //nolint:gosec // an MQTT 32-bit interval to begin with
	}
	return pk
}

func (p *publication) expired() bool { return p.Expiry > 0 && p.Expiry < time.Now().Unix() }

type apiKey struct {
	Hash string `json:"hash"`
	At   int64  `json:"at"`
}

// clusterData is what a joiner gets and every member holds.
type clusterData struct {
	Retained []*publication
	Keys     map[string]apiKey
	Users    map[string]apiKey
	Tables   tables
}

const (
	retainedFile  = "retained.log"
	keysFile      = "api_keys.json"
	usersFile     = "users.json"
	tombstoneLife = 10 * time.Minute
)

// records hold the replicated tables of a node and keep them on disk.
type records struct {
	mu       sync.Mutex
	disk     store
	cfg      retainConfig
	log      *logger
	retained map[string]*publication
	keys     map[string]apiKey
	users    map[string]apiKey
	tables   tables
	file     *os.File
	lines    int
}

func newRecords(d store, cfg retainConfig, log *logger) *records {
	return &records{disk: d, cfg: cfg, log: log}
}

// reopen reads what is on disk, puts d over it, and compacts.
func (r *records) reopen(d *clusterData) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.retained, r.keys, r.users, r.tables = map[string]*publication{}, map[string]apiKey{}, map[string]apiKey{}, tables{}
	if _, err := r.disk.load(tablesFile, &r.tables); err != nil {
		return err
	}
	if _, err := r.disk.load(keysFile, &r.keys); err != nil {
		return err
	}
	if _, err := r.disk.load(usersFile, &r.users); err != nil {
		return err
	}
	if r.cfg.disc {
		if err := r.readLog(); err != nil {
			return err
		}
	}
	r.mergeLocked(d)
	return r.flushLocked()
}

func (r *records) readLog() error {
	f, err := os.Open(filepath.Join(r.disk.dir, retainedFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the retained messages: %w", err)
	}
	defer func() { _ = f.Close() }()
	for rd := bufio.NewReader(f); ; {
		line, err := rd.ReadBytes('\n')
		if err != nil {
			return nil // a line without an end was cut by a kill
		}
		p := &publication{Retain: true}
		if err := json.Unmarshal(line, p); err != nil {
			r.log.Error("skipping a damaged line of the retained messages", "reason", err.Error())
			continue
		}
		r.newer(p)
	}
}

// newer keeps p when it is the newest for its topic.
func (r *records) newer(p *publication) bool {
	if old := r.retained[p.Topic]; old != nil && old.At >= p.At {
		return false
	}
	r.retained[p.Topic] = p
	return true
}

// flushLocked rewrites everything, without old tombstones and expired messages.
func (r *records) flushLocked() error {
	if r.file != nil {
		_ = r.file.Close()
		r.file = nil
	}
	r.tables.sweep()
	if err := errors.Join(r.disk.save(keysFile, r.keys), r.disk.save(usersFile, r.users), r.disk.save(tablesFile, r.tables)); err != nil {
		return fmt.Errorf("writing keys, users and tables: %w", err)
	}
	for t, p := range r.retained {
		if len(p.Payload) == 0 && time.Since(time.Unix(0, p.At)) > tombstoneLife || p.expired() {
			delete(r.retained, t)
		}
	}
	path := filepath.Join(r.disk.dir, retainedFile)
	if !r.cfg.disc {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	for _, t := range sortedKeys(r.retained) {
		if err := enc.Encode(r.retained[t]); err != nil {
			return err
		}
	}
	tmp := path + ".new"
	if err := os.WriteFile(tmp, b.Bytes(), 0o600); err != nil {
		return fmt.Errorf("writing the retained messages: %w", err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0o600)
	r.file, r.lines = f, len(r.retained)
	return err
}

// put stores a retained message (or its clearing); false when a newer one is there.
func (r *records) put(p *publication) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.newer(p) {
		return false
	}
	r.appendLocked(p)
	return true
}

func (r *records) appendLocked(p *publication) {
	if r.file == nil {
		return
	}
	line, err := json.Marshal(p)
	if err == nil {
		_, err = r.file.Write(append(line, '\n'))
	}
	if r.lines++; err == nil && r.lines > 2*len(r.retained)+10000 {
		err = r.flushLocked()
	}
	if err != nil {
		r.log.Error("failed to retain a message on disk", "topic", p.Topic, "reason", err.Error())
	}
}

func (r *records) get(topic string) *publication {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.retained[topic]
}

// live counts the retained messages that exist, clearings left out.
func (r *records) live() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, p := range r.retained {
		if len(p.Payload) > 0 {
			n++
		}
	}
	return n
}

func (r *records) snapshot() *clusterData {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := &clusterData{Keys: map[string]apiKey{}, Users: map[string]apiKey{}, Tables: r.tables.clone()}
	for _, t := range sortedKeys(r.retained) {
		d.Retained = append(d.Retained, r.retained[t])
	}
	for k, v := range r.keys {
		d.Keys[k] = v
	}
	for k, v := range r.users {
		d.Users[k] = v
	}
	return d
}

// merge takes what is newer in d.
func (r *records) merge(d *clusterData) {
	r.mu.Lock()
	defer r.mu.Unlock()
	rows := d != nil && r.tables.merge(d.Tables)
	var err error
	switch rest := r.mergeLocked(d); {
	case rest:
		err = r.flushLocked()
	case rows: // a change by the API has no need to write all else
		r.tables.sweep()
		err = r.disk.save(tablesFile, r.tables)
	}
	if err != nil {
		r.log.Error(err.Error())
	}
}

func (r *records) mergeLocked(d *clusterData) (changed bool) {
	if d == nil {
		return false
	}
	for _, p := range d.Retained {
		p.Retain = true
		changed = r.newer(p) || changed
	}
	changed = mergeKeys(r.keys, d.Keys) || changed
	changed = r.tables.merge(d.Tables) || changed
	return mergeKeys(r.users, d.Users) || changed
}

func mergeKeys(into, from map[string]apiKey) (changed bool) {
	for k, v := range from {
		if old, ok := into[k]; !ok || v.At > old.At {
			into[k] = v
			changed = true
		}
	}
	return changed
}

// replace is what a returning member does with the data of one that served on.
func (r *records) replace(d *clusterData) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.retained, r.keys, r.users, r.tables = map[string]*publication{}, map[string]apiKey{}, map[string]apiKey{}, tables{}
	r.mergeLocked(d)
	return r.flushLocked()
}

func (r *records) all() []*publication {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]*publication, 0, len(r.retained))
	for _, p := range r.retained {
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b *publication) int { return int(a.At - b.At) })
	return out
}

func (r *records) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file != nil {
		_ = r.file.Close()
		r.file = nil
	}
}

// setKey stores an API key or a user by the hash of its secret.
func (r *records) setKey(users bool, name, hash string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m, file := r.keys, keysFile
	if users {
		m, file = r.users, usersFile
	}
	m[name] = apiKey{Hash: hash, At: time.Now().UnixNano()}
	if err := r.disk.save(file, m); err != nil {
		r.log.Error(err.Error())
	}
}

func (r *records) key(users bool, name string) (apiKey, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.keys
	if users {
		m = r.users
	}
	k, ok := m[name]
	return k, ok
}

func (r *records) userCount() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.users)
}
