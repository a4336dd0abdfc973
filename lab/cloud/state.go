package cloud

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"time"
)

// stateVersion changes when a stored state can no longer be read.
const stateVersion = 1

// Lifecycle states, as OCI spells them.
const (
	provisioning = "PROVISIONING"
	available    = "AVAILABLE"
	active       = "ACTIVE"
	running      = "RUNNING"
	creating     = "CREATING"
	updating     = "UPDATING"
	scaling      = "SCALING"
	terminating  = "TERMINATING"
	terminated   = "TERMINATED"
	stopped      = "STOPPED"

	attaching = "ATTACHING"
	attached  = "ATTACHED"
	detaching = "DETACHING"
	detached  = "DETACHED"
)

// state is everything the cloud knows. It is one file: with a few hundred
// resources a write is cheap, and there is no order of writes to get wrong.
type state struct {
	Version     int
	Seq         int // counts creations, so that lists have a stable order
	NextPrimary int // goes round, so that a relaunched instance has a new address
	Resources   map[string]*resource
	Instances   map[string]*instance
	Attachments map[string]*attachment
	Backups     map[string]*backup  `json:",omitempty"`
	Secrets     map[string][]string `json:",omitempty"` // versions that somebody made, by their secret
	// given are the first versions of others: they belong to the lab, which has them anew at each start.
	given map[string]string
	Ended map[string]*endedResource `json:",omitempty"`
}

// endedResource is a resource that has ended. OCI shows and lists one that has a lifecycle state
// for a while, so programs have to look at that.
type endedResource struct {
	Token string
	View  Props
	Ended time.Time
}

// shownAfterEnd is how long that is. OCI's documents do not say; hours are usual.
const shownAfterEnd = time.Hour

// keepEnd remembers a resource that is about to be removed.
func (s *state) keepEnd(k kind, r *resource, now time.Time) {
	for id, g := range s.Ended {
		if now.Sub(g.Ended) > shownAfterEnd {
			delete(s.Ended, id)
		}
	}
	if view := k.view(s, r); str(view, "state") != "" {
		view["state"] = k.spelled(terminated)
		s.Ended[r.ID] = &endedResource{Token: r.Token, View: clone(view), Ended: now}
	}
}

// resource is what a program asked for.
type resource struct {
	ID, Token, State string
	Seq              int
	Created, Updated time.Time
	In               Props
	// Acked is set when Create has answered, or somebody has read it. One that is not was
	// left behind by a caller or a process that died.
	Acked bool
	// Abandoned is set when the caller of its Create went away.
	Abandoned bool `json:",omitempty"`
	// Retry is the token of that call, by which its repetitions are known.
	Retry string `json:",omitempty"`

	Name     string    `json:",omitempty"` // given when the program gave none
	Subnet   string    `json:",omitempty"` // of a private IP
	Address  string    `json:",omitempty"` // private IP; balancer's private address
	Public   string    `json:",omitempty"` // balancer's public address
	VNIC     string    `json:",omitempty"` // who has claimed a private IP
	Launches int       `json:",omitempty"` // of a pool, for ${launchCount}
	Invalid  bool      `json:",omitempty"` // a rule whose group is gone
	Health   string    `json:",omitempty"` // of a backend: ok, critical, or "" for unknown
	Check    string    `json:",omitempty"` // what the last health check said
	Checked  time.Time `json:",omitzero"`
}

// etag changes with every update.
func (r *resource) etag() string { return strconv.FormatInt(r.Updated.UnixNano(), 36) }

// instance is one launched by a pool.
type instance struct {
	ID, Name, Hostname    string
	Pool, Config          string
	AD, FaultDomain       string
	Subnet, Address       string
	VNIC, PrivateIP, MAC  string
	VNICName              string
	Shape, Image          string
	OCPUs, MemoryGB       float64
	Groups                []string
	Tags, VNICTags        map[string]string
	Metadata              map[string]string
	State, Reason         string
	Seq                   int
	Created, Booted       time.Time
	ExtendedMetadata      Props `json:",omitempty"`
	LegacyMetadata        bool  // version 1 of the metadata service answers, too
	Defined, VNICsDefined Props `json:",omitempty"`
}

// live tells whether the instance counts towards its pool's size.
func (i *instance) live() bool {
	return i.State == provisioning || i.State == running || i.State == stopped
}

// attachment of a volume. OCI keeps listing DETACHED ones for a while, so
// programs have to look at the state; the lab keeps them until the volume goes.
type attachment struct {
	ID, Instance, Volume, Device string
	State, AD, Type, Name        string
	Seq                          int
	Created                      time.Time
}

func newState() *state {
	return &state{
		Version: stateVersion, Resources: map[string]*resource{},
		Instances: map[string]*instance{}, Attachments: map[string]*attachment{}, Backups: map[string]*backup{},
		Ended: map[string]*endedResource{},
	}
}

func loadState(path string) (*state, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return newState(), nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the cloud's state: %w", err)
	}
	s := newState()
	if err := json.Unmarshal(data, s); err != nil {
		return nil, fmt.Errorf("reading the cloud's state %s: %w; take the lab down and up again", path, err)
	}
	if s.Version != stateVersion {
		return nil, fmt.Errorf("reading the cloud's state %s: it has version %d, this program reads %d; take the lab down with the program that made it",
			path, s.Version, stateVersion)
	}
	return s, nil
}

// save replaces the file in one step and waits until it is on disk: what is
// acted upon afterwards is never forgotten.
func (s *state) save(path string) (err error) {
	data, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		return fmt.Errorf("writing the cloud's state: %w", err)
	}
	temp := path + ".new"
	f, err := os.OpenFile(temp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("writing the cloud's state: %w", err)
	}
	_, err = f.Write(data)
	if err == nil {
		err = flush(f)
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("writing the cloud's state: %w", err)
	}
	return nil
}

// flush waits until a file is on disk. Tests, whose processes die but whose
// machine does not, do without.
var flush = (*os.File).Sync

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(flush(d), d.Close())
}

func (s *state) next() int {
	s.Seq++
	return s.Seq
}

// of returns the resources of a token in the order of their creation.
func (s *state) of(token string) []*resource {
	var out []*resource
	for _, r := range s.Resources {
		if r.Token == token {
			out = append(out, r)
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Seq < out[j].Seq })
	return out
}

// get returns a resource that exists for its users: not one on its way out.
func (s *state) get(token, id string) (*resource, bool) {
	r, ok := s.Resources[id]
	if !ok || r.Token != token || r.State == terminating {
		return nil, false
	}
	return r, true
}

func (s *state) instances() []*instance {
	var out []*instance
	for _, i := range s.Instances {
		out = append(out, i)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Seq < out[j].Seq })
	return out
}

func (s *state) attachments() []*attachment {
	var out []*attachment
	for _, a := range s.Attachments {
		out = append(out, a)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Seq < out[j].Seq })
	return out
}

// attachmentOf is the one that ties a volume now, if any.
func (s *state) attachmentOf(volume string) *attachment {
	for _, a := range s.Attachments {
		if a.Volume == volume && a.State != detached {
			return a
		}
	}
	return nil
}

func (s *state) byVNIC(vnic string) *instance {
	for _, i := range s.Instances {
		if i.VNIC == vnic && i.live() {
			return i
		}
	}
	return nil
}
