package broker

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// `emqx ctl data export|import` as EMQX 5.8 has it (emqx_mgmt_data_backup, emqx_mgmt_cli):
// a tar file in data/backup whose entries all lie under the file's own name, with
// META.hocon, cluster.hocon and one file for each table. The tables here are the
// stand-in's, in its own format: what it exports only it can import.

const (
	exportSuffix  = ".tar.gz"
	metaFile      = "META.hocon"
	clusterFile   = "cluster.hocon"
	adminTable    = "emqx_admin"            // dashboard users
	appTable      = "emqx_app"              // API keys
	retainedTable = "emqx_retainer_message" // exported from memory, too
)

// exportTables stand in EMQX's order: that of its applications.
var exportTables = []string{appTable, adminTable, bannedTable, rulesTable, usersTable, retainedTable}

// ctlData answers with success whatever happens, as the real one: its text tells.
func (n *node) ctlData(verb, file string) *message {
	switch {
	case verb == "export":
		return done(n.export(time.Now()))
	case verb == "import" && file != "":
		return done(n.imported(file))
	}
	return usage()
}

func (n *node) backupDir() string { return filepath.Join(n.cfg.dataDir, "backup") }

func (n *node) export(now time.Time) string {
	base := "emqx-export-" + now.Format("2006-01-02-15-04-05.000")
	path := filepath.Join(n.backupDir(), base+exportSuffix)
	said := fmt.Sprintf("Exporting data to %q...\nExporting cluster configuration...\nExporting additional files from EMQX data_dir: %q...\nExporting built-in database...\n",
		path, n.cfg.dataDir)
	for _, t := range exportTables {
		said += "Exporting " + t + " database table...\n"
	}
	if err := n.writeExport(path, base); err != nil {
		return said + fmt.Sprintf("[error] Data export failed, reason: %q.", err.Error())
	}
	return said + "Data has been successfully exported to " + path + "."
}

func (n *node) writeExport(path, base string) error {
	d := n.data.snapshot()
	d.Retained = slices.DeleteFunc(d.Retained, func(p *publication) bool { return len(p.Payload) == 0 || p.expired() })
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	add := func(name string, content []byte) error {
		h := &tar.Header{Name: base + "/" + name, Mode: 0o644, Size: int64(len(content)), ModTime: time.Now(), Format: tar.FormatUSTAR}
		if err := w.WriteHeader(h); err != nil {
			return err
		}
		_, err := w.Write(content)
		return err
	}
	err := errors.Join(add(metaFile, []byte("edition = ce\nversion = \""+Version+"\"\n")), add(clusterFile, n.clusterHocon()))
	for table, rows := range map[string]any{
		adminTable: d.Users, appTable: d.Keys, retainedTable: d.Retained,
		bannedTable: d.Tables.live(bannedTable), rulesTable: d.Tables.live(rulesTable), usersTable: d.Tables.live(usersTable),
	} {
		content, marshal := json.Marshal(rows)
		err = errors.Join(err, marshal, add("mnesia/"+table, content))
	}
	if err = errors.Join(err, w.Close(), z.Close(), os.MkdirAll(n.backupDir(), 0o750)); err != nil {
		return err
	}
	return os.WriteFile(path, b.Bytes(), 0o600)
}

// imported takes a path, or the name of a file in data/backup.
func (n *node) imported(file string) string {
	if _, err := os.Stat(file); err != nil && filepath.Base(file) == file {
		file = filepath.Join(n.backupDir(), file)
	}
	said := ""
	files, err := n.readExport(file)
	if err == nil {
		said = fmt.Sprintf("Importing data from %q...\nImporting cluster configuration...\nImporting built-in database...\n", file)
		wrong := n.importConfig(files)
		var lines string
		lines, err = n.takeIn(files)
		said += lines
		if wrong != nil && err == nil {
			return said + "Failed to import the following config path: \"listeners\", reason: " + wrong.Error() +
				"\nData has been imported, but some errors occurred, see the the log above"
		}
	}
	if err != nil {
		return said + fmt.Sprintf("[error] Data import failed, reason: %q.", err.Error())
	}
	return said + "Data has been imported successfully."
}

// clusterHocon is what this member exports of its settings: what was changed at run time,
// rules of files with their text.
func (n *node) clusterHocon() (text []byte) {
	n.withApp(func(a *app) { text = a.exportListeners() })
	access, err := hoconOf(n.clusterConf())
	if err != nil {
		n.log.Error(err.Error())
	}
	return append(text, access...)
}

// importConfig takes in an archive's cluster.hocon, of which the stand-in knows the
// listeners and who may connect and do what. An archive without the file changes none.
// Authenticators and sources of the archive take the place of those of their kind, and the
// others stay (emqx_authn:import_config, emqx_authz:import_config).
func (n *node) importConfig(files map[string][]byte) (err error) {
	hocon, ok := files[clusterFile]
	if !ok {
		return nil
	}
	n.withApp(func(a *app) { err = a.importListeners(hocon) })
	tree, _ := parseHocon(string(hocon)).(map[string]any)
	for _, root := range accessRoots {
		if tree[root] == nil {
			continue
		}
		v, wrong := mergedRoot(root, n.access(), plain(tree[root]), false)
		if wrong == nil {
			wrong = n.changeAccess(root, v)
		}
		err = errors.Join(err, wrong)
	}
	return err
}

var metaValue = regexp.MustCompile(`(?m)^\s*"?(edition|version)"?\s*[=:]\s*"?([^"\s]+)"?\s*$`)

// readExport gives the files of an export by their names in it.
func (n *node) readExport(path string) (map[string][]byte, error) {
	base, ok := strings.CutSuffix(filepath.Base(path), exportSuffix)
	if !ok {
		return nil, errors.New("invalid backup name: file name must have " + exportSuffix + " extension")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, errors.New("backup file not found")
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		name, ok := strings.CutPrefix(h.Name, base+"/")
		if !ok {
			return nil, errors.New("invalid backup archive content: all files in the archive must be under <backup name> directory")
		}
		if files[name], err = io.ReadAll(io.LimitReader(r, 1<<30)); err != nil {
			return nil, err
		}
	}
	meta := map[string]string{}
	for _, m := range metaValue.FindAllStringSubmatch(string(files[metaFile]), -1) {
		meta[m[1]] = m[2]
	}
	switch {
	case meta["version"] == "" || meta["edition"] == "":
		return nil, errors.New("invalid backup archive file: missing " + metaFile)
	case meta["edition"] == "ee":
		return nil, errors.New("importing EMQX Enterprise data backup to EMQX is not allowed")
	case newer(meta["version"]):
		return nil, fmt.Errorf("[warning] Backup version %q is newer than EMQX version %q, import is not allowed", meta["version"], Version)
	}
	return files, nil
}

// newer compares major and minor numbers only.
func newer(version string) bool {
	number := func(s string, i int) int {
		f := strings.Split(s, ".")
		if i >= len(f) {
			return 0
		}
		n, _ := strconv.Atoi(f[i])
		return n
	}
	return number(version, 0) > number(Version, 0) || number(version, 1) > number(Version, 1)
}

// takeIn puts the records of an export over those that are here, on every member; what
// is not in the export stays.
func (n *node) takeIn(files map[string][]byte) (said string, err error) {
	d := &clusterData{}
	for _, table := range slices.Backward(exportTables) {
		content, ok := files["mnesia/"+table]
		if !ok {
			said += "No backup file for " + table + " database table...\n"
			continue
		}
		said += "Importing " + table + " database table...\n"
		var rows any
		records := map[string]json.RawMessage{}
		switch table {
		case bannedTable, rulesTable, usersTable:
			rows = &records
		case adminTable:
			rows = &d.Users
		case appTable:
			rows = &d.Keys
		default:
			rows = &d.Retained
		}
		if err := json.Unmarshal(content, rows); err != nil {
			return said, fmt.Errorf("%s is no table of a stand-in: %w", table, err)
		}
		for key, v := range records {
			d.put(table, key, row{Value: v, At: n.stamp()})
		}
	}
	for _, m := range []map[string]apiKey{d.Users, d.Keys} {
		for name, k := range m {
			m[name] = apiKey{Hash: k.Hash, At: n.stamp()}
		}
	}
	for _, p := range d.Retained {
		p.At = n.stamp()
	}
	n.takeOver(d)
	for _, p := range n.runningPeers() {
		if _, err := p.ask(n.ctx, &message{Op: "keys", Data: d}, time.Minute); err != nil {
			return said, fmt.Errorf("replicating to %s: %w", p.name, err)
		}
	}
	return said, nil
}

// takeOver merges records from elsewhere into this node, retained messages into its
// server.
func (n *node) takeOver(d *clusterData) {
	if d == nil {
		return
	}
	changed := n.data.newerRows(confTable, d.Tables[confTable])
	n.data.merge(d)
	if len(d.Retained) > 0 {
		n.withApp(func(a *app) { a.loadRetained() })
	}
	if len(changed) > 0 {
		n.accessTold(changed)
	}
}
