package gates

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	nomad "github.com/hashicorp/nomad/api"
	"github.com/miekg/dns"
	"golang.org/x/sync/errgroup"

	"github.com/emqx-oci/emqx-oci/components/cluster"
)

const (
	// discoveryEvery is how often the name is asked while the cluster is not formed.
	discoveryEvery = 10 * time.Second
	// lookupTime bounds one member's question, in seconds: three tries of 2 s at two
	// servers.
	lookupTime = "14"
)

// lookupScript asks the servers of the task's /etc/resolv.conf as EMQX does: by UDP in 512
// bytes, and by TCP when the answer says that it is cut short. The image has no program for
// that, but bash has /dev/udp. A busy node answers late, and a datagram may be lost: as with
// Erlang's inet_res a server has 2 s, and all are asked up to three times. $1 is the
// question, $2 the same with its length before it. dd writes each at once: bash would send a
// packet for each line of it.
const lookupScript = `
hexed() { od -An -v -tx1 | tr -d ' \n'; }
send() { printf %b "$1" | dd bs=1024 iflag=fullblock status=none; }
ask() {
  local server=$3 answer=
  { send "$1" >&3; answer=$(timeout 2 dd bs=65535 count=1 status=none <&3 | hexed); } 3<>"/dev/udp/$server/53"
  if [[ -n $answer ]] && ((16#${answer:4:2} & 2)); then
    answer=
    { send "$2" >&3; answer=$(head -c "$((16#$(head -c 2 <&3 | hexed)))" <&3 | hexed); } 3<>"/dev/tcp/$server/53"
  fi
  [[ -n $answer ]] && echo "$server $answer"
}
for _ in 1 2 3; do
  while read -r word server _; do
    if [[ $word == nameserver ]] && ask "$1" "$2" "$server"; then exit 0; fi
  done </etc/resolv.conf
done
echo 'no name server of /etc/resolv.conf answers' >&2
exit 1`

const discoveryNext = "Consul's agent of the node named: without dns_config { enable_truncate = true } it gives EMQX three members of all. " +
	`The boot script writes it, an update relaunches nodes that have an older one; "A cluster that formed in parts" in docs/runbook.md`

// partsNext is for members that never met, which no healing brings together.
const partsNext = `a member looks for others only when it starts: "A cluster that formed in parts" in docs/runbook.md`

// discovery asks, in the members' tasks, for the name that EMQX finds its members by.
type discovery struct {
	client NomadClient
	args   ClusterFormedArgs

	mu    sync.Mutex
	asked time.Time
	last  incompleteAnswers
	// said is what each node's answer lacked, and how much: three of five are others at
	// each question, which is no news.
	said map[string]shortfall
}

// incompleteAnswers are the members' answers that are not whole, in words.
type incompleteAnswers struct {
	texts []string
	// known: one of them came, and lacks something. The others nobody knows.
	known bool
}

// noAnswer is why nobody knows what a member's name servers answer.
type noAnswer struct{ error }

type shortfall struct {
	count int
	text  string
}

// withDiscovery adds to gate G2 that every member hears of all others: a cluster may
// have formed by luck, and the next member that comes does not. While it is not formed,
// what discovery lacks is said beside what is seen.
func withDiscovery(client NomadClient, args ClusterFormedArgs, g Gate) Gate {
	if args.Discovery == "" {
		return g
	}
	d := &discovery{client: client, args: args, said: map[string]shortfall{}}
	formed := g.Check
	g.Check = func(ctx context.Context) (Status, error) {
		status, err := formed(ctx)
		if err != nil {
			return status, err
		}
		found, err := d.incomplete(ctx, status.Holds)
		switch {
		case err != nil && status.Holds || IsFatal(err):
			return Status{}, err
		case len(found.texts) == 0:
			if status.Next == splitNext && strings.Contains(status.Seen, noMember) {
				status.Next = partsNext
			}
			return status, nil
		}
		next := status.Next
		if found.known {
			next = discoveryNext
		}
		return Status{Seen: status.Seen + "; " + joinSome(found.texts), Next: next}, nil
	}
	return g
}

// incomplete asks every member that runs, and says whose answer is not whole. Unless it is
// to be asked now, what was heard a moment ago stands.
func (d *discovery) incomplete(ctx context.Context, now bool) (incompleteAnswers, error) {
	d.mu.Lock()
	last, fresh := d.last, time.Since(d.asked) < discoveryEvery
	d.mu.Unlock()
	if fresh && !now {
		return last, nil
	}
	allocs, err := d.client.Allocations(ctx, d.args.Job)
	if err != nil {
		return incompleteAnswers{}, err
	}
	allocs = slices.DeleteFunc(slices.Clone(allocs), func(a *nomad.AllocationListStub) bool {
		return !meantToRun(a) || a.ClientStatus != nomad.AllocClientStatusRunning || !tasksRun(a)
	})
	slices.SortFunc(allocs, func(a, b *nomad.AllocationListStub) int { return strings.Compare(a.Name, b.Name) })
	texts, known := make([]string, len(allocs)), make([]bool, len(allocs))
	var all errgroup.Group
	all.SetLimit(askedAtOnce)
	for i, a := range allocs {
		all.Go(func() error {
			hosts, err := d.ask(ctx, a.ID)
			if IsFatal(err) {
				return err
			}
			texts[i] = d.note(a.NodeName, hosts, err)
			known[i] = texts[i] != "" && !errors.As(err, &noAnswer{})
			return nil
		})
	}
	if err := errors.Join(all.Wait(), ctx.Err()); err != nil {
		return incompleteAnswers{}, err
	}
	found := incompleteAnswers{slices.DeleteFunc(texts, func(s string) bool { return s == "" }), slices.Contains(known, true)}
	d.mu.Lock()
	d.asked, d.last = time.Now(), found
	d.mu.Unlock()
	return found, nil
}

// note puts into words what an answer lacks; empty when it is whole.
func (d *discovery) note(node string, hosts []string, err error) string {
	if errors.As(err, &noAnswer{}) {
		return fmt.Sprintf("whether %s hears of the members is not known: %s", node, err)
	}
	if err != nil {
		return fmt.Sprintf("%s does not hear of the members: %s", node, err)
	}
	var missing []string
	for _, n := range d.args.Nodes {
		if _, host := cluster.NodeOf(n); !slices.Contains(hosts, host) {
			missing = append(missing, host)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(missing) == 0 {
		delete(d.said, node)
		return ""
	}
	if d.said[node].count != len(missing) {
		d.said[node] = shortfall{len(missing), fmt.Sprintf("%s answers %d of %d members on %s, not %s",
			d.args.Discovery, len(d.args.Nodes)-len(missing), len(d.args.Nodes), node, joinSome(missing))}
	}
	return d.said[node].text
}

// ask returns the targets that the name answers in a task.
func (d *discovery) ask(ctx context.Context, alloc string) ([]string, error) {
	question, err := new(dns.Msg).SetQuestion(dns.Fqdn(d.args.Discovery), dns.TypeSRV).Pack()
	if err != nil {
		return nil, fmt.Errorf("asking for %q: %w", d.args.Discovery, err)
	}
	framed := append(binary.BigEndian.AppendUint16(nil, uint16(len(question))), question...) //nolint:gosec // one name: less than 300 bytes
	result, err := d.client.Exec(ctx, alloc, d.args.Task, "timeout", lookupTime, "bash", "-c", lookupScript, "lookup", escaped(question), escaped(framed))
	if IsFatal(err) {
		return nil, err
	}
	if err != nil {
		return nil, noAnswer{err}
	}
	if result.Exit == timeoutExit {
		return nil, noAnswer{fmt.Errorf("no answer within %s s", lookupTime)}
	}
	if result.Exit != 0 {
		return nil, fmt.Errorf("exit code %d: %s", result.Exit, OneLine(result.Stderr))
	}
	return targets(result.Stdout)
}

// escaped is what printf %b makes the bytes of.
func escaped(raw []byte) string {
	var b strings.Builder
	for _, c := range raw {
		fmt.Fprintf(&b, `\x%02x`, c)
	}
	return b.String()
}

// targets reads "<server> <answer in hexadecimal>".
func targets(output string) ([]string, error) {
	server, text, _ := strings.Cut(strings.TrimSpace(output), " ")
	raw, err := hex.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("the answer of name server %s is no DNS: %w", server, err)
	}
	answer := new(dns.Msg)
	if err := answer.Unpack(raw); err != nil && !answer.Truncated {
		return nil, fmt.Errorf("the answer of name server %s is no DNS: %w", server, err)
	}
	if answer.Rcode != dns.RcodeSuccess && answer.Rcode != dns.RcodeNameError {
		return nil, fmt.Errorf("name server %s answers %s", server, dns.RcodeToString[answer.Rcode])
	}
	var hosts []string
	for _, r := range answer.Answer {
		if srv, ok := r.(*dns.SRV); ok {
			hosts = append(hosts, strings.TrimSuffix(srv.Target, "."))
		}
	}
	return hosts, nil
}
