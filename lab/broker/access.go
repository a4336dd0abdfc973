package broker

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Who may connect and do what stands under two roots of EMQX's configuration. Each has the
// layers of the others, the weak ones first: base.hocon, cluster.hocon (what was changed
// at run time, on all members), emqx.conf, and the environment. What is changed at run time
// is so at once, on every member, whatever the layers say; at the next start of a node its
// layers decide again.
const (
	rootAuthn = "authentication"
	rootAuthz = "authorization"
)

var accessRoots = []string{rootAuthn, rootAuthz}

// access is that part of the configuration, checked and ready to be asked.
type access struct {
	raw   map[string]any // by root
	chain []authenticator
	rules authorization
}

func newAccess(raw map[string]any, in places) (*access, error) {
	a := &access{raw: raw}
	var authn, authz error
	a.chain, authn = chainOf(raw[rootAuthn])
	a.rules, authz = authorizationOf(raw[rootAuthz], in)
	return a, errors.Join(authn, authz)
}

// find is nil when there is no such authenticator, or no configuration yet.
func (a *access) find(id string) *authenticator {
	if a == nil {
		return nil
	}
	at := slices.IndexFunc(a.chain, func(one authenticator) bool { return one.id == id })
	if at < 0 {
		return nil
	}
	return &a.chain[at]
}

// hasSource tells whether an enabled source of a type is there.
func (a *access) hasSource(typ string) bool {
	return slices.ContainsFunc(a.rules.sources, func(s aclSource) bool { return s.typ == typ && s.enabled })
}

// sources are those of the authorization as they are written.
func (a *access) sources() any {
	m, _ := a.raw[rootAuthz].(map[string]any)
	return m["sources"]
}

// accessLayers are what a node has of the layers besides cluster.hocon.
type accessLayers struct{ base, conf, env map[string]any }

// merged puts the layers over each other; cluster is what was changed at run time.
func (l accessLayers) merged(cluster map[string]any) map[string]any {
	raw := map[string]any{}
	for _, root := range accessRoots {
		var v any
		for _, layer := range []map[string]any{l.base, cluster, l.conf, l.env} {
			if over, ok := layer[root]; ok {
				v = layered(v, over)
			}
		}
		if v != nil {
			raw[root] = v
		}
	}
	return raw
}

// accessOf takes the two roots out of checked settings.
func accessOf(s settings) map[string]any {
	tree := map[string]any{}
	for _, p := range sortedKeys(s) {
		path := strings.Split(p, ".")
		if !slices.Contains(accessRoots, path[0]) {
			continue
		}
		v := plain(s[p])
		for i := len(path) - 1; i > 0; i-- {
			v = map[string]any{path[i]: v}
		}
		if old, ok := tree[path[0]]; ok {
			v = layered(old, v)
		}
		tree[path[0]] = v
	}
	return tree
}

// readAccessFile takes the two roots out of a file; one that is absent has none.
func readAccessFile(path string) (map[string]any, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	doc, ok := parseHocon(string(b)).(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%s: not HOCON", path)
	}
	tree := map[string]any{}
	for _, root := range accessRoots {
		if v, ok := doc[root]; ok {
			tree[root] = plain(v)
		}
	}
	return tree, nil
}

func (c *config) places() places { return places{etc: c.etcDir, data: c.dataDir, env: c.env} }

// readAccess reads the layers that do not change, and checks what they make.
func (c *config) readAccess(s settings) error {
	var base, conf error
	c.layers.base, base = readAccessFile(filepath.Join(c.etcDir, "base.hocon"))
	c.layers.conf, conf = readAccessFile(filepath.Join(c.etcDir, "emqx.conf"))
	c.layers.env = accessOf(s)
	cluster, changed := readAccessFile(c.clusterConfPath())
	var err error
	c.access, err = newAccess(c.layers.merged(cluster), c.places())
	return errors.Join(base, conf, changed, err)
}

// access is what counts now.
func (n *node) access() *access {
	if a := n.accessNow.Load(); a != nil {
		return a
	}
	return n.cfg.access
}

func (c *config) clusterConfPath() string {
	return filepath.Join(c.dataDir, "configs", "cluster.hocon")
}

// loadClusterConf takes cluster.hocon in as it lies on the data volume: it may have come
// there in another way than by this node.
func (n *node) loadClusterConf() error {
	tree, err := readAccessFile(n.cfg.clusterConfPath())
	if err != nil {
		return fmt.Errorf("reading what was changed at run time: %w", err)
	}
	news := tables{confTable: {}}
	for _, root := range accessRoots {
		var stored any
		has := n.data.lookup(confTable, root, &stored)
		v, err := readOwnRules(tree[root], n.cfg.places())
		if err != nil {
			return err
		}
		_, written := tree[root]
		if has == written && reflect.DeepEqual(stored, v) {
			continue
		}
		one := row{At: n.stamp()}
		if written {
			if one.Value, err = json.Marshal(v); err != nil {
				return err
			}
		}
		news[confTable][root] = one
	}
	n.data.merge(&clusterData{Tables: news})
	return nil
}

// clusterConf is what was changed at run time, by root.
func (n *node) clusterConf() map[string]any {
	tree := map[string]any{}
	for _, root := range n.data.keysOf(confTable) {
		var v any
		if n.data.lookup(confTable, root, &v) {
			tree[root] = v
		}
	}
	return tree
}

// hoconOf writes roots so that EMQX's HOCON, of which JSON is a part, reads them.
func hoconOf(tree map[string]any) ([]byte, error) {
	var b bytes.Buffer
	for _, root := range sortedKeys(tree) {
		var value bytes.Buffer
		enc := json.NewEncoder(&value)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		if err := enc.Encode(tree[root]); err != nil {
			return nil, err
		}
		_, _ = fmt.Fprintf(&b, "%s = %s", root, value.Bytes())
	}
	return b.Bytes(), nil
}

// saveClusterConf writes cluster.hocon when something was changed.
func (n *node) saveClusterConf() error {
	tree := n.clusterConf()
	path := n.cfg.clusterConfPath()
	if _, err := os.Stat(path); err != nil && len(tree) == 0 {
		return nil
	}
	var err error
	if tree[rootAuthz], err = writeOwnRules(tree[rootAuthz], n.cfg.places()); err != nil {
		return err
	}
	if tree[rootAuthz] == nil {
		delete(tree, rootAuthz)
	}
	text, err := hoconOf(tree)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// startAccess puts the layers over each other when the application starts.
func (n *node) startAccess() error {
	if err := n.saveClusterConf(); err != nil {
		return fmt.Errorf("writing what was changed at run time: %w", err)
	}
	a, err := newAccess(n.cfg.layers.merged(n.clusterConf()), n.cfg.places())
	if err != nil {
		return fmt.Errorf("reading the configuration: %w", err)
	}
	n.useAccess(a)
	return nil
}

// useAccess takes a checked configuration over. Authenticators that are as they were go on;
// the others are created.
func (n *node) useAccess(a *access) {
	old := n.accessNow.Load()
	var kept []string
	for i := range a.chain {
		one := &a.chain[i]
		if was := old.find(one.id); was != nil && reflect.DeepEqual(was.raw, one.raw) {
			one.provider, one.stop = was.provider, was.stop
			kept = append(kept, one.id)
			continue
		}
		if s, ok := one.provider.(starter); ok {
			one.stop = s.start(n)
		}
	}
	n.accessNow.Store(a)
	if old == nil {
		return
	}
	for _, was := range old.chain {
		if was.stop != nil && !slices.Contains(kept, was.id) {
			was.stop()
		}
	}
	if !reflect.DeepEqual(old.sources(), a.sources()) {
		n.drainCache()
	}
}

// drainCache makes all decisions void that are in caches.
func (n *node) drainCache() { n.drained.Store(time.Now().UnixNano()) }

// drainCaches does so on all members.
func (n *node) drainCaches() {
	n.drainCache()
	for _, p := range n.runningPeers() {
		if _, err := p.ask(n.ctx, &message{Op: "drain"}, setupTimeout); err != nil {
			n.log.Warn("draining the cache of a node failed", "node", p.name.String(), "reason", err.Error())
		}
	}
}

// changeAccess writes a root on all members, as emqx_conf:update with override_to cluster.
// Connected clients stay, whatever it says of them.
func (n *node) changeAccess(root string, v any) error {
	n.confMu.Lock()
	defer n.confMu.Unlock()
	raw := map[string]any{}
	for r, old := range n.access().raw {
		raw[r] = old
	}
	v = rulesFirst(v)
	raw[root] = v
	a, err := newAccess(raw, n.cfg.places())
	if err != nil {
		return err
	}
	had, hadRules := n.access().find(builtinID) != nil, n.access().hasSource(databaseSource)
	n.useAccess(a)
	if err := n.writeRows(confTable, map[string]any{root: v}); err != nil {
		return err
	}
	if had && a.find(builtinID) == nil { // emqx_authn_mnesia:destroy
		if err := n.clearTable(usersTable); err != nil {
			return err
		}
	}
	if hadRules && !a.hasSource(databaseSource) { // emqx_authz_mnesia:destroy
		if err := n.clearTable(rulesTable); err != nil {
			return err
		}
	}
	return n.saveClusterConf()
}

// absentFiles refuses a change over the API whose files of TLS are not there or hold nothing
// (emqx_tls_lib:ensure_ssl_files). What EMQX starts with may name such ones.
func absentFiles(path string, v any) error {
	var faults []error
	switch v := v.(type) {
	case []any:
		for i, item := range v {
			faults = append(faults, absentFiles(fmt.Sprintf("%s.%d", path, i+1), item))
		}
	case map[string]any:
		for _, key := range sortedKeys(v) {
			at := path + "." + key
			text, _ := v[key].(string)
			if slices.Contains([]string{"cacertfile", "certfile", "keyfile"}, key) && text != "" {
				if content, err := textOrFile(text); err != nil || !bytes.Contains(content, []byte("-----BEGIN")) {
					faults = append(faults, fmt.Errorf("%s: invalid_file_path_or_pem_string", at))
				}
				continue
			}
			faults = append(faults, absentFiles(at, v[key]))
		}
	}
	return errors.Join(faults...)
}

// accessTold takes over what another member has changed.
func (n *node) accessTold(changed map[string]row) {
	n.confMu.Lock()
	defer n.confMu.Unlock()
	raw := map[string]any{}
	for r, old := range n.access().raw {
		raw[r] = old
	}
	for root := range changed {
		var v any
		if n.data.lookup(confTable, root, &v) {
			raw[root] = v
		}
	}
	a, err := newAccess(raw, n.cfg.places())
	if err == nil {
		n.useAccess(a)
		err = n.saveClusterConf()
	}
	if err != nil {
		n.log.Error("a change of the configuration fails here", "reason", err.Error())
	}
}
