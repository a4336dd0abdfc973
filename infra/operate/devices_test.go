package operate

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	consul "github.com/hashicorp/consul/api"
	nomad "github.com/hashicorp/nomad/api"
	"gotest.tools/v3/assert"
	"gotest.tools/v3/assert/cmp"

	"github.com/emqx-oci/emqx-oci/components/certs"
	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/infra/gates"
)

// fleet is EMQX's database with the clients of two members, two proxies, and Consul's key. Who is cut off comes back as
// soon as it may.
type fleet struct {
	gates.NomadClient

	mu      sync.Mutex
	users   map[string]gates.UserRecord
	clients map[string]string // user name by client id, and what it shows
	shows   map[string]string // password, or the serial number of a certificate, by client id
	key     string
	version uint64
	inUse   []string // what each proxy refuses by
	lagging int      // how many questions to a proxy it takes until it has read the list

	asked []string
	dies  int  // which question is the last whose answer is heard; 0 is none
	dead  bool // the first member does not answer
}

func newFleet() *fleet {
	return &fleet{
		users: map[string]gates.UserRecord{"ann": {ID: "ann", Hash: "ann's"}}, clients: map[string]string{"of-ann": "ann"}, shows: map[string]string{"of-ann": "ann's"},
		inUse: make([]string, 2),
	}
}

func (f *fleet) Allocations(_ context.Context, job string) (list []*nomad.AllocationListStub, _ error) {
	for i := range 2 {
		list = append(list, &nomad.AllocationListStub{ID: fmt.Sprint(job, "/", i), NodeName: fmt.Sprint("emqx-lab-", i), ClientStatus: "running", DesiredStatus: "run"})
	}
	return append(list, &nomad.AllocationListStub{ID: job + "/old", ClientStatus: "complete", DesiredStatus: "stop"}), nil
}

// step counts a question, and says what becomes of its answer.
func (f *fleet) step(what string) error {
	f.asked = append(f.asked, what)
	switch {
	case f.dies > 0 && len(f.asked) > f.dies:
		return errors.New("no answer")
	case len(f.asked) == f.dies:
		return errors.New("the answer is lost")
	}
	return nil
}

func (f *fleet) Exec(_ context.Context, alloc, task string, command ...string) (gates.ExecResult, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dead && strings.HasSuffix(alloc, "emqx-lab/0") {
		return gates.ExecResult{}, errors.New("no path to node")
	}
	err := f.step(task + " " + strings.Join(command[min(len(command), 6):], " "))
	if err != nil && len(f.asked) > f.dies {
		return gates.ExecResult{}, err
	}
	var r gates.ExecResult
	if task == "proxy" {
		var i int
		_, _ = fmt.Sscanf(alloc, "emqx-lab-proxy/%d", &i)
		if f.lagging--; f.lagging < 0 {
			f.inUse[i] = f.key
		}
		r.Stdout = f.inUse[i]
	} else {
		status, body := f.answer(command[7], command[8], command[9])
		r.Stdout = fmt.Sprintf("\n--- %d\n%s\n", status, body)
	}
	if err != nil {
		return gates.ExecResult{}, err
	}
	return r, nil
}

// may tells whether what a client shows lets it in: a password by the hash, or a certificate where no proxy refuses it.
func (f *fleet) may(id string) bool {
	u := f.users[f.clients[id]]
	if u.Salt == certificateSalt {
		return !slices.ContainsFunc(f.inUse, func(list string) bool { return strings.Contains("\n"+list, "\n"+f.shows[id]+" ") })
	}
	return u.Hash == f.shows[id] || u.Hash == "of "+f.shows[id]
}

func (f *fleet) answer(method, path, body string) (int, string) {
	at, err := url.Parse(path)
	if err != nil {
		panic(err)
	}
	q := at.Query()
	list := []map[string]string{}
	switch last := at.EscapedPath()[strings.LastIndex(at.EscapedPath(), "/"):]; method + " " + last {
	case "GET /users":
		for _, name := range slices.Sorted(maps.Keys(f.users)) {
			if strings.Contains(name, q.Get("like_user_id")) {
				list = append(list, map[string]string{"user_id": name})
			}
		}
	case "GET /clients":
		for id, user := range f.clients {
			if !q.Has("username") || slices.Contains(q["username"], user) {
				list = append(list, map[string]string{"clientid": id, "username": user})
			}
		}
	case "POST /bulk":
		var ids []string
		_ = json.Unmarshal([]byte(body), &ids)
		for _, id := range ids {
			if !f.may(id) {
				delete(f.clients, id)
			}
		}
		return 204, ""
	case "POST /import_users":
		var users []gates.UserRecord
		_ = json.Unmarshal([]byte(body), &users)
		for _, u := range users {
			f.users[u.ID] = u
		}
	default: // DELETE
		name, _ := url.PathUnescape(last[1:])
		if _, ok := f.users[name]; !ok {
			return 404, `{"code":"NOT_FOUND","message":"User not found"}`
		}
		delete(f.users, name)
		return 204, ""
	}
	text, _ := json.Marshal(map[string]any{"data": list})
	return 200, string(text)
}

// Key and SetKey are Consul's.
func (f *fleet) Key(context.Context, string) (string, uint64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.key, f.version, f.step("read the key")
}

func (f *fleet) SetKey(_ context.Context, key, value string, version uint64) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := f.step("write the key")
	if key != cluster.RevokedKey("lab") || version != f.version || err != nil && len(f.asked) > f.dies {
		return false, err
	}
	f.key, f.version = value, f.version+1
	return true, err
}

// Leader and Service are what nobody asks.
func (f *fleet) Leader(context.Context) error { return nil }

func (f *fleet) Service(context.Context, string, string) ([]*consul.ServiceEntry, error) {
	return nil, nil
}

var (
	ownAuthority = sync.OnceValue(func() certs.DeviceAuthority {
		a, _, err := certs.NewDeviceAuthority("devices of lab", 1000*24*time.Hour, time.Now())
		if err != nil {
			panic(err)
		}
		return a
	})
	year = 365 * 24 * time.Hour
)

// hurried is the real time, in which nobody sleeps.
type hurried struct{}

func (hurried) Now() time.Time                                   { return time.Now() }
func (hurried) Sleep(ctx context.Context, _ time.Duration) error { return ctx.Err() }

func (f *fleet) cluster(t *testing.T, change ...func(*DevicesConfig)) *Cluster {
	t.Helper()
	authority := ownAuthority()
	hash := func(password string) (string, error) { return "of " + password, nil }
	d := DevicesConfig{Hash: hash, Users: []string{"ann"}, Authority: &authority, Keys: f, ProxyTask: "proxy", Refused: []string{"cat"}}
	for _, x := range change {
		x(&d)
	}
	c, err := New(Config{
		Environment: "lab", Datacenter: "dc1", Count: 2, Nomad: f, Consul: f, DevicesConfig: d,
		Clock: hurried{}, Proxy: ProxyConfig{Title: "HAProxy", Job: "emqx-lab-proxy", Service: "emqx-proxy"},
	})
	assert.NilError(t, err)
	return c
}

// adds lets a device in and connects it.
func (f *fleet) adds(t *testing.T, c *Cluster, o AddDevice) Credential {
	t.Helper()
	var kept Credential
	o.Keep, o.Lasts = func(x Credential) error { kept = x; return nil }, year
	d, err := c.Add(t.Context(), o)
	assert.NilError(t, err)
	assert.DeepEqual(t, d, kept.Device)
	id := fmt.Sprint("of-", o.Name, "-", len(f.clients))
	f.clients[id], f.shows[id] = o.Name, kept.Password+kept.Device.Serial
	assert.Assert(t, f.may(id), "%+v", f.users[o.Name])
	return kept
}

func TestDevicesComeAndGo(t *testing.T) {
	t.Parallel()
	f := newFleet()
	f.dead = true
	c := f.cluster(t)
	pump := f.adds(t, c, AddDevice{Name: "pump"})
	meter := f.adds(t, c, AddDevice{Name: "meter", Certificate: true})
	valve := f.adds(t, c, AddDevice{Name: "valve"})

	assert.Assert(t, len(pump.Password) == 32 && pump.Certificate == "" && pump.Password != valve.Password)
	chain, err := certs.ReadCertificates(meter.Certificate)
	assert.NilError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(ownAuthority().Certificate)
	_, err = chain[0].Verify(x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	assert.NilError(t, err)
	assert.Equal(t, chain[0].Subject.CommonName, "meter")
	public, err := certs.ReadKey(meter.Key)
	assert.NilError(t, err)
	assert.Assert(t, certs.Fits(chain[0], public))
	assert.Equal(t, len(meter.Device.Serial), 32)

	devices, err := c.Devices(t.Context())
	assert.NilError(t, err)
	list := ""
	for _, d := range devices {
		list += fmt.Sprintln(d.Name, d.Kind, d.State, d.Connections, d.Ends != nil)
	}
	assert.Equal(t, list, "meter certificate in 1 true\npump password in 1 false\nvalve password in 1 false\n")

	for _, name := range []string{"pump", "meter"} {
		r, err := c.Revoke(t.Context(), name)
		assert.NilError(t, err)
		assert.Equal(t, r.Cut, 1)
		before := r.At
		r, err = c.Revoke(t.Context(), name) // once more
		assert.NilError(t, err)
		assert.DeepEqual(t, r, Revoked{Device: name, At: before})
	}
	assert.DeepEqual(t, slices.Sorted(maps.Values(f.clients)), []string{"ann", "valve"})
	assert.Equal(t, f.key, fmt.Sprintf("%s %d\n", meter.Device.Serial, meter.Device.Ends.Unix()))
	for _, u := range f.users {
		shut := (u.ID == "pump" || u.ID == "meter") && u.Hash == gates.NobodysHash && u.Salt == ""
		assert.Assert(t, u.ID == "ann" || u.ID == "valve" || strings.Contains(u.ID, "/") || shut, "%+v is left", u)
	}
	// Who takes away what shuts it out finds it there again after the next revocation.
	delete(f.users, "pump")
	_, err = c.Revoke(t.Context(), "pump")
	assert.NilError(t, err)
	assert.Equal(t, f.users["pump"].Hash, gates.NobodysHash)
	devices, err = c.Devices(t.Context())
	assert.NilError(t, err)
	list = ""
	for _, d := range devices {
		list += fmt.Sprintln(d.Name, d.Kind, d.State, d.Revoked != nil)
	}
	assert.Equal(t, list, "meter certificate revoked true\npump password revoked true\nvalve password in false\n")

	// A name of earlier comes back, by either kind: the certificate of earlier does not.
	f.adds(t, c, AddDevice{Name: "pump", Certificate: true})
	f.lagging = 3
	var told []string
	f.adds(t, c, AddDevice{Name: "meter", Certificate: true, Report: func(line string) { told = append(told, line) }})
	assert.DeepEqual(t, told, []string{"waiting until the proxies refuse the certificate of earlier: HAProxy on emqx-lab-0"})
	f.clients["old"], f.shows["old"] = "meter", meter.Device.Serial
	assert.Assert(t, !f.may("old"))
}

// Wherever a revocation ends, the device cannot connect from the first change on; the next one brings it to its end, and
// cuts nobody else off.
func TestARevocationThatEndedLeavesNobodyIn(t *testing.T) {
	t.Parallel()
	for _, certificate := range []bool{false, true} {
		for dies := 1; ; dies++ {
			f := newFleet()
			c := f.cluster(t)
			f.adds(t, c, AddDevice{Name: "pump", Certificate: certificate})
			f.adds(t, c, AddDevice{Name: "valve", Certificate: true})
			f.asked, f.dies = nil, dies
			_, err := c.Revoke(t.Context(), "pump")
			// The questions end with the process: nothing comes after its end.
			ended := err != nil
			f.dies = 0
			changed := slices.ContainsFunc(f.asked, func(q string) bool { return strings.Contains(q, "import_users") })
			for id, user := range f.clients {
				assert.Assert(t, user != "pump" || !changed || !f.may(id), "after %v it may come back", f.asked)
			}
			if ended {
				devices, err := c.Devices(t.Context())
				assert.NilError(t, err)
				for _, d := range devices {
					assert.Assert(t, d.Name != "pump" || !changed || d.State != DeviceIn, "%+v after %v", d, f.asked)
				}
				if changed {
					_, err = c.Add(t.Context(), AddDevice{Name: "pump", Lasts: year, Keep: func(Credential) error { return errors.New("it may be added") }})
					assert.Assert(t, err != nil)
				}
				_, err = c.Revoke(t.Context(), "pump")
				assert.NilError(t, err)
			}
			assert.DeepEqual(t, slices.Sorted(maps.Values(f.clients)), []string{"ann", "valve"})
			assert.Equal(t, f.key != "", certificate)
			devices, err := c.Devices(t.Context())
			assert.NilError(t, err)
			assert.Equal(t, len(devices), 2, "%+v after an end at %d", devices, dies)
			assert.Equal(t, devices[0].State, DeviceRevoked)
			assert.Equal(t, f.users["pump"], gates.UserRecord{ID: "pump", Hash: gates.NobodysHash}, "no other authenticator is to be asked about it")
			for _, id := range slices.Sorted(maps.Keys(f.users)) {
				assert.Assert(t, !strings.HasPrefix(id, gates.DeviceMark+"pump/"), "%s is left", id)
			}
			if !ended {
				assert.Assert(t, dies > 6, "%v", f.asked)
				break
			}
		}
	}
}

// Wherever adding ends, the device is in as a whole, with what was handed out, or not at all.
func TestAnAddingThatEndedIsWholeOrNothing(t *testing.T) {
	t.Parallel()
	for dies := 1; ; dies++ {
		f := newFleet()
		c := f.cluster(t)
		f.dies = dies
		var kept *Credential
		_, err := c.Add(t.Context(), AddDevice{Name: "pump", Keep: func(x Credential) error { kept = &x; return nil }})
		f.dies = 0
		_, there := f.users["pump"]
		devices, listErr := c.Devices(t.Context())
		assert.NilError(t, listErr)
		assert.Equal(t, len(devices) == 1, there)
		if there {
			assert.Assert(t, kept != nil)
		}
		if err == nil {
			assert.Assert(t, there && dies > 3)
			return
		}
	}
}

func TestWhatIsNoDevice(t *testing.T) {
	t.Parallel()
	f := newFleet()
	c := f.cluster(t)
	f.adds(t, c, AddDevice{Name: "pump"})
	f.users["guest"] = gates.UserRecord{ID: "guest"}
	before := maps.Clone(f.users)
	never := func(Credential) error { return errors.New("it is made") }
	csr := &x509.CertificateRequest{}
	csr.Subject.CommonName = "valve"
	for name, x := range map[string]struct {
		o    AddDevice
		with func(*DevicesConfig)
		want string
	}{
		"a user":           {AddDevice{Name: "ann"}, nil, "adding device ann: ann is one of auth.users"},
		"the stack's own":  {AddDevice{Name: "emqx-oci-gate"}, nil, "must not begin with emqx-oci-"},
		"a wildcard":       {AddDevice{Name: "+"}, nil, `must be 1 to 64 letters, digits and ._@:-, got "+"`},
		"a level":          {AddDevice{Name: "a/b"}, nil, "must be 1 to 64 letters"},
		"one that is in":   {AddDevice{Name: "pump"}, nil, "it is there, by a password, since "},
		"a stranger":       {AddDevice{Name: "guest"}, nil, "EMQX has a user of that name that is no device"},
		"of an open stack": {AddDevice{Name: "x"}, func(d *DevicesConfig) { d.Open = true }, "auth.anonymous lets everybody in"},
		"no authority":     {AddDevice{Name: "x", Certificate: true}, func(d *DevicesConfig) { d.Authority = nil }, "set tls.deviceCa and secrets.deviceCaKey"},
		"another's CSR":    {AddDevice{Name: "x", Certificate: true, Request: csr}, nil, `the request is that of "valve"`},
	} {
		if x.with == nil {
			x.with = func(*DevicesConfig) {}
		}
		x.o.Keep = never
		_, err := f.cluster(t, x.with).Add(t.Context(), x.o)
		assert.Check(t, cmp.ErrorContains(err, x.want), name)
	}
	for name, want := range map[string]string{
		"ann": "ann is one of auth.users", "nobody": "there is no device of that name, and nobody was revoked", "guest": "there is no device of that name",
	} {
		_, err := c.Revoke(t.Context(), name)
		assert.Check(t, cmp.ErrorContains(err, want), name)
	}
	assert.DeepEqual(t, f.users, before)
}

// What does not come back as it was would be a device that nobody finds.
func TestMarksSayWhatTheyAreOf(t *testing.T) {
	t.Parallel()
	ends := time.Unix(1900000000, 0).UTC()
	for _, d := range []Device{
		{Name: "a.b_c@d:e-f", Kind: KindPassword, Added: time.Unix(1764000000, 0).UTC(), State: DeviceIn},
		{Name: "m", Kind: KindCertificate, Added: time.Unix(1764000000, 0).UTC(), State: DeviceIn, Serial: "40AB", Ends: &ends},
	} {
		m, ok := readMark(d.mark())
		assert.Assert(t, ok)
		assert.DeepEqual(t, m.device, d)
		at := time.Unix(1765000000, 0).UTC()
		m, ok = readMark(d.revokedMark(at))
		assert.Assert(t, ok)
		d.State, d.Revoked = DeviceRevoked, &at
		assert.DeepEqual(t, m.device, d)
		assert.Assert(t, m.forget.After(at))
	}
	for _, id := range []string{"ann", "emqx-oci-device/", "emqx-oci-device/a/password/x", "emqx-oci-device/a/password/1/2", "emqx-oci-revoked/a/certificate/1/2"} {
		_, ok := readMark(id)
		assert.Assert(t, !ok, id)
	}
}
