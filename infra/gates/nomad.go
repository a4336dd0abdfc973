package gates

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	nomad "github.com/hashicorp/nomad/api"
)

// NomadClient is what the gates ask Nomad.
type NomadClient interface {
	// Leader returns why Nomad has none to name.
	Leader(ctx context.Context) error
	// Namespace returns why the namespace of the jobs is not there; nil where the token
	// may not know.
	Namespace(ctx context.Context) error
	// Nodes lists all client nodes, without their meta and volumes.
	Nodes(ctx context.Context) ([]*nomad.NodeListStub, error)
	// Node reads one node whole.
	Node(ctx context.Context, id string) (*nomad.Node, error)
	// Alive asks the node's own agent, through the servers, and returns why it
	// does not answer. What the servers say of a node is as old as its last
	// heartbeat.
	Alive(ctx context.Context, id string) error
	// Drain tells Nomad to stop what runs on a node and to place nothing there any
	// more. After deadline, counted from now, it waits for no other node.
	Drain(ctx context.Context, id string, deadline time.Duration) error
	// Undrain ends a drain, under way or over, and gives the node work again.
	Undrain(ctx context.Context, id string) error
	// Purge makes Nomad forget a node.
	Purge(ctx context.Context, id string) error
	// Job reads a job; [ErrNotFound] when Nomad has none of that id.
	Job(ctx context.Context, id string) (*nomad.Job, error)
	// Stands says whether the job that is registered is the one of this text: Nomad
	// would change nothing.
	Stands(ctx context.Context, text JobText) (bool, error)
	// Plan has Nomad read and judge a job, and say what would become of its allocations.
	// Nothing is registered. What Nomad has against the job is no error. The token needs
	// parse-job, read-job and plan-job, or submit-job in place of the first and the last.
	Plan(ctx context.Context, text JobText) (JobPlan, error)
	// Deployments lists the job's deployments, newest or oldest first; none
	// when Nomad made or kept none.
	Deployments(ctx context.Context, job string) ([]*nomad.Deployment, error)
	// Allocations lists the job's allocations, the terminal ones too.
	Allocations(ctx context.Context, job string) ([]*nomad.AllocationListStub, error)
	// Evaluations lists the job's evaluations.
	Evaluations(ctx context.Context, job string) ([]*nomad.Evaluation, error)
	// Exec runs a command in a task of a running allocation, without input, until
	// ctx ends: one without an end gets the time of one request. A command that ran has an exit code, whatever it is,
	// and no error, and all of its output is there. The task needs /bin/sh.
	Exec(ctx context.Context, alloc, task string, command ...string) (ExecResult, error)
	// Stream runs a command with the caller's streams, and no bound but the
	// context's. It runs once, and its input is there. The end of its output may be
	// lost: a command that ends ends the session. Nothing is written to the streams
	// once it has returned. The task needs /bin/sh.
	Stream(ctx context.Context, alloc, task string, streams Streams, command ...string) (exit int, err error)
}

// JobText is a job as somebody wrote it: a job file, and the values of its variables
// as a variables file. Both are HCL.
type JobText struct{ File, Variables string }

// Streams are what a command reads and writes; nil means nothing.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// ExecResult is a command that ran in a task.
type ExecResult struct {
	Stdout, Stderr string
	Exit           int
}

// ErrNotFound means that the system asked has no such object.
var ErrNotFound = errors.New("not found")

// NomadConfig says where Nomad is. Only Address is required.
type NomadConfig struct {
	// Address is a URL: "http://10.80.2.10:4646".
	Address string
	// Token is an ACL token: node:write, and submit-job, read-job and alloc-exec in
	// Namespace.
	Token string
	// Region and Namespace default to the agent's own and "default".
	Region, Namespace string
	// CACert is the PEM text that verifies an https address; empty means the
	// system's authorities.
	CACert string
	// Cert and Key are the client's own, as PEM text, for a server that asks for
	// them; both or none.
	Cert, Key string
	// Timeout bounds each request; default 10 s.
	Timeout time.Duration
}

const defaultRequestTimeout = 10 * time.Second

// NewNomad returns a client of the Nomad API. Nothing is dialled yet.
func NewNomad(c NomadConfig) (NomadClient, error) {
	if c.Address == "" {
		return nil, errors.New("connecting to Nomad: no address given")
	}
	cfg := &nomad.Config{
		Address:   c.Address,
		SecretID:  c.Token,
		Region:    c.Region,
		Namespace: c.Namespace,
	}
	if c.CACert != "" || c.Cert != "" {
		cfg.TLSConfig = &nomad.TLSConfig{CACertPEM: []byte(c.CACert), ClientCertPEM: []byte(c.Cert), ClientKeyPEM: []byte(c.Key)}
	}
	api, err := nomad.NewClient(cfg)
	if err != nil {
		return nil, fmt.Errorf("connecting to Nomad at %s: %w", c.Address, err)
	}
	if c.Timeout <= 0 {
		c.Timeout = defaultRequestTimeout
	}
	return &nomadClient{api: api, address: c.Address, namespace: cmp.Or(c.Namespace, nomad.DefaultNamespace), timeout: c.Timeout}, nil
}

// Deref is what a field of Nomad's that may be absent holds: the zero value when it is.
func Deref[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

type nomadClient struct {
	api                *nomad.Client
	address, namespace string
	timeout            time.Duration
}

// ask bounds one request and puts the address into its error, because what a
// gate prints must say who did not answer.
func (c *nomadClient) ask(ctx context.Context, what string, f func(*nomad.QueryOptions) error) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	return c.explain(what, f((&nomad.QueryOptions{}).WithContext(ctx)))
}

func (c *nomadClient) explain(what string, err error) error {
	if err == nil {
		return nil
	}
	var answer nomad.UnexpectedResponseError
	if !errors.As(err, &answer) {
		if unreachable(err) {
			return fmt.Errorf("cannot reach Nomad at %s: %w", c.address, rootCause(err))
		}
		return fmt.Errorf("reading %s from Nomad at %s: %w", what, c.address, err)
	}
	switch answer.StatusCode() {
	case http.StatusNotFound:
		return fmt.Errorf("reading %s from Nomad at %s: %w", what, c.address, ErrNotFound)
	case http.StatusForbidden, http.StatusUnauthorized:
		return Fatal(fmt.Errorf("reading %s from Nomad at %s: permission denied; check nomad.token", what, c.address))
	}
	return fmt.Errorf("reading %s from Nomad at %s: %w", what, c.address, err)
}

func (c *nomadClient) Leader(ctx context.Context) error {
	var leader string
	err := c.ask(ctx, "the leader", func(q *nomad.QueryOptions) error {
		_, err := c.api.Raw().Query("/v1/status/leader", &leader, q)
		return err
	})
	if err == nil && leader == "" {
		return c.explain("the leader", errNoLeader)
	}
	return err
}

func (c *nomadClient) Namespace(ctx context.Context) error {
	err := c.ask(ctx, "namespace "+c.namespace, func(q *nomad.QueryOptions) error {
		_, _, err := c.api.Namespaces().Info(c.namespace, q)
		return err
	})
	switch {
	case errors.Is(err, ErrNotFound):
		return fmt.Errorf("must exist: Nomad at %s has no namespace %q; make it with: nomad namespace apply %s", c.address, c.namespace, c.namespace)
	case IsFatal(err):
		return nil // no right to read it: the update says what it lacks
	}
	return err
}

func (c *nomadClient) Nodes(ctx context.Context) (out []*nomad.NodeListStub, err error) {
	err = c.ask(ctx, "nodes", func(q *nomad.QueryOptions) error {
		out, _, err = c.api.Nodes().List(q)
		return err
	})
	return out, err
}

func (c *nomadClient) Node(ctx context.Context, id string) (out *nomad.Node, err error) {
	err = c.ask(ctx, "node "+id, func(q *nomad.QueryOptions) error {
		out, _, err = c.api.Nodes().Info(id, q)
		return err
	})
	return out, err
}

// change bounds a request that changes a node. A token without the right to do it
// gets the command for somebody who has it.
func (c *nomadClient) change(ctx context.Context, what, command string, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	err := f(ctx)
	var answer nomad.UnexpectedResponseError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &answer) && (answer.StatusCode() == http.StatusForbidden || answer.StatusCode() == http.StatusUnauthorized):
		return Fatal(fmt.Errorf("%s: Nomad at %s does not let nomad.token do that, which needs node:write; with a token that has it: `%s`",
			what, c.address, command))
	case errors.As(err, &answer) && answer.StatusCode() == http.StatusNotFound:
		return fmt.Errorf("%s: %w", what, ErrNotFound)
	case unreachable(err):
		return fmt.Errorf("%s: cannot reach Nomad at %s: %w", what, c.address, rootCause(err))
	}
	return fmt.Errorf("%s: %w", what, err)
}

// drainMark tells a drain of this program from one that a person began.
const drainMark = "emqx-oci"

func (c *nomadClient) Drain(ctx context.Context, id string, deadline time.Duration) error {
	command := fmt.Sprintf("nomad node drain -enable -deadline %s %s", deadline, ShortID(id))
	return c.change(ctx, "draining node "+ShortID(id), command, func(ctx context.Context) error {
		_, err := c.api.Nodes().UpdateDrainOpts(id, &nomad.DrainOptions{
			DrainSpec: &nomad.DrainSpec{Deadline: deadline}, Meta: map[string]string{drainMark: "relaunch"},
		}, (&nomad.WriteOptions{}).WithContext(ctx))
		return err
	})
}

func (c *nomadClient) Undrain(ctx context.Context, id string) error {
	return c.change(ctx, "ending the drain of node "+ShortID(id), "nomad node drain -disable "+ShortID(id), func(ctx context.Context) error {
		_, err := c.api.Nodes().UpdateDrainOpts(id, &nomad.DrainOptions{MarkEligible: true}, (&nomad.WriteOptions{}).WithContext(ctx))
		return err
	})
}

func (c *nomadClient) Purge(ctx context.Context, id string) error {
	command := fmt.Sprintf("nomad operator api -X POST /v1/node/%s/purge", id)
	return c.change(ctx, "forgetting dead node "+ShortID(id), command, func(ctx context.Context) error {
		_, _, err := c.api.Nodes().Purge(id, (&nomad.QueryOptions{}).WithContext(ctx))
		return err
	})
}

// aliveTimeout bounds the question to a node: the servers wait for long on the
// connection of one that went without a word.
const aliveTimeout = 3 * time.Second

// errNoPath is certain, as no answer in time is not.
var errNoPath = errors.New("the servers have no connection to it")

// Alive asks for the host's statistics: the agent has them at hand, and needs no
// more than the right to read nodes.
func (c *nomadClient) Alive(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, min(aliveTimeout, c.timeout))
	defer cancel()
	_, err := c.api.Nodes().Stats(id, (&nomad.QueryOptions{}).WithContext(ctx))
	if ctx.Err() != nil && err != nil {
		return fmt.Errorf("nothing heard within %s", min(aliveTimeout, c.timeout))
	}
	err = c.explain("statistics of node "+ShortID(id), err)
	if errors.Is(err, ErrNotFound) { // "No path to node"
		return errNoPath
	}
	return err
}

func (c *nomadClient) Job(ctx context.Context, id string) (out *nomad.Job, err error) {
	err = c.ask(ctx, "job "+id, func(q *nomad.QueryOptions) error {
		out, _, err = c.api.Jobs().Info(id, q)
		return err
	})
	return out, err
}

func (c *nomadClient) Deployments(ctx context.Context, job string) (out []*nomad.Deployment, err error) {
	err = c.ask(ctx, "deployments of job "+job, func(q *nomad.QueryOptions) error {
		out, _, err = c.api.Jobs().Deployments(job, false, q)
		return err
	})
	return out, err
}

func (c *nomadClient) Allocations(ctx context.Context, job string) (out []*nomad.AllocationListStub, err error) {
	err = c.ask(ctx, "allocations of job "+job, func(q *nomad.QueryOptions) error {
		out, _, err = c.api.Jobs().Allocations(job, false, q)
		return err
	})
	return out, err
}

func (c *nomadClient) Evaluations(ctx context.Context, job string) (out []*nomad.Evaluation, err error) {
	err = c.ask(ctx, "evaluations of job "+job, func(q *nomad.QueryOptions) error {
		out, _, err = c.api.Jobs().Evaluations(job, q)
		return err
	})
	return out, err
}
