package rest

import (
	"context"
	"net/http"
	"regexp"
	"strings"

	nlb "github.com/oracle/oci-go-sdk/v65/networkloadbalancer"

	"github.com/emqx-oci/emqx-oci/lab/cloud"
)

// resource is one kind of thing that the API has under a path of its own. Create, list
// and the rest follow from that.
type resource struct {
	token string // in the cloud
	// path of one; its parts in braces are named as properties, and the last is which one.
	path           string
	create, update decode
	view           encode
	// list is the function of the cloud that lists them; empty: the API has no list.
	list    string
	summary encode
	// waits is set where the API answers when a change is made, not when it is accepted.
	waits bool
	// works is how the operations of its work requests are called (CREATE_BACKEND);
	// empty: it has none.
	works string
}

var wildcard = regexp.MustCompile(`{(\w+)}`)

// collection is the path that one of them is made under.
func (r resource) collection() string { return r.path[:strings.LastIndexByte(r.path, '/')] }

// id of the one that a request is about. The parts of a balancer have none but their path.
func (r resource) id(c call) string {
	names := wildcard.FindAllStringSubmatch(r.path, -1)
	if len(names) == 1 {
		return c.PathValue(names[0][1])
	}
	return strings.TrimPrefix(c.URL.Path, "/"+balancers)
}

// within adds to properties what the path says: which balancer, which of its sets.
func within(c call, path string, p cloud.Props) cloud.Props {
	for _, name := range wildcard.FindAllStringSubmatch(path, -1) {
		p[name[1]] = c.PathValue(name[1])
	}
	return p
}

func (s *service) serve(r resource) {
	s.handle("POST "+r.collection(), s.creates(r))
	s.handle("GET "+r.path, s.gets(r))
	s.handle("DELETE "+r.path, s.deletes(r))
	if r.update != nil {
		s.handle("PUT "+r.path, s.updates(r))
	}
	if r.list != "" {
		s.handle("GET "+r.collection(), s.lists(r.collection(), r.list, r.summary))
	}
}

// shown is one resource, with its version.
func (s *service) shown(view encode, p cloud.Props) (answer, error) {
	body, err := view(p)
	id, _ := p["id"].(string)
	return answer{header: map[string]string{"etag": s.cloud.ETag(id)}, body: body}, err
}

// working is the answer to a change that has begun.
func (s *service) working(r resource, c call, p cloud.Props, verb string, work *cloud.Work) (answer, error) {
	if r.works == "" {
		return s.shown(r.view, p)
	}
	balancer := c.PathValue("networkLoadBalancerId")
	a := answer{}
	if balancer == "" { // it is being made
		balancer = work.ID
		var err error
		if a, err = s.shown(r.view, p); err != nil {
			return answer{}, err
		}
	}
	return s.accepted(a, balancer, nlb.OperationTypeEnum(verb+"_"+r.works), work), nil
}

// accepted adds the work request by which a client follows a change of a balancer.
func (s *service) accepted(a answer, balancer string, does nlb.OperationTypeEnum, work *cloud.Work) answer {
	if a.header == nil {
		a.header = map[string]string{}
	}
	a.status, a.header["opc-work-request-id"] = http.StatusAccepted, s.works.add(balancer, does, work)
	return a
}

func (s *service) creates(r resource) handler {
	return func(ctx context.Context, c call) (answer, error) {
		in, err := r.create(c.content)
		if err != nil {
			return answer{}, err
		}
		in = within(c, r.collection(), in)
		if r.waits {
			_, out, err := s.cloud.Create(ctx, r.token, in)
			if err != nil {
				return answer{}, err
			}
			return s.shown(r.view, out)
		}
		work, out, err := s.cloud.StartCreate(ctx, r.token, in)
		if err != nil {
			return answer{}, err
		}
		return s.working(r, c, out, "CREATE", work)
	}
}

func (s *service) gets(r resource) handler {
	return func(ctx context.Context, c call) (answer, error) {
		out, err := s.cloud.Read(ctx, r.token, r.id(c))
		if err != nil {
			return answer{}, err
		}
		return s.shown(r.view, out)
	}
}

func (s *service) updates(r resource) handler {
	return func(ctx context.Context, c call) (answer, error) {
		in, err := r.update(c.content)
		if err != nil {
			return answer{}, err
		}
		if r.waits {
			out, err := s.cloud.Update(ctx, r.token, r.id(c), in)
			if err != nil {
				return answer{}, err
			}
			return s.shown(r.view, out)
		}
		work, out, err := s.cloud.StartUpdate(ctx, r.token, r.id(c), in)
		if err != nil {
			return answer{}, err
		}
		return s.working(r, c, out, "UPDATE", work)
	}
}

func (s *service) deletes(r resource) handler {
	return func(ctx context.Context, c call) (answer, error) {
		if r.waits {
			return answer{status: http.StatusNoContent}, s.remove(ctx, r.token, r.id(c))
		}
		work, err := s.cloud.StartDelete(ctx, r.token, r.id(c))
		if err != nil {
			return answer{}, err
		}
		if r.works != "" {
			return s.accepted(answer{}, c.PathValue("networkLoadBalancerId"), nlb.OperationTypeEnum("DELETE_"+r.works), work), nil
		}
		return answer{status: http.StatusNoContent}, nil
	}
}

// remove deletes and waits for the end; an unknown id is an error, unlike with
// [cloud.Cloud.Delete].
func (s *service) remove(ctx context.Context, token, id string) error {
	work, err := s.cloud.StartDelete(ctx, token, id)
	if err != nil {
		return err
	}
	<-work.Done()
	return work.Err()
}

// asked are a request's arguments, from its query and its path.
func asked(c call, path string) cloud.Props {
	args := cloud.Props{}
	for name, values := range c.URL.Query() {
		args[providerName(name)] = values[0]
	}
	return within(c, path, args)
}

// lists answers with all that a list function of the cloud finds.
func (s *service) lists(path, function string, summary encode) handler {
	return func(ctx context.Context, c call) (answer, error) {
		args := asked(c, path)
		found, err := s.cloud.List(ctx, function, args)
		if err != nil {
			return answer{}, err
		}
		if state, ok := args["state"].(string); ok {
			found = keep(found, state)
		}
		return s.listed(c, found, summary)
	}
}

// keep are those in a lifecycle state, in any case, as OCI compares them.
func keep(all []cloud.Props, state string) []cloud.Props {
	var out []cloud.Props
	for _, p := range all {
		if text, _ := p["state"].(string); strings.EqualFold(text, state) {
			out = append(out, p)
		}
	}
	return out
}

// listed is a page of a list: a collection of items with the balancers' service, a bare
// list with the older ones.
func (s *service) listed(c call, all []cloud.Props, summary encode) (answer, error) {
	part, header, err := page(c.Request, all)
	if err != nil {
		return answer{}, err
	}
	items := make([]any, len(part))
	for n, p := range part {
		if items[n], err = summary(p); err != nil {
			return answer{}, err
		}
	}
	if strings.HasPrefix(c.URL.Path, "/"+balancers) {
		return answer{header: header, body: map[string]any{"items": items}}, nil
	}
	return answer{header: header, body: items}, nil
}

// lookup is what the API only answers, by a function of the cloud.
type lookup struct {
	path, function string
	// key is where the function's answer has a list; empty: it is one thing.
	key  string
	view encode
}

func (s *service) look(l lookup) {
	s.handle("GET "+l.path, func(ctx context.Context, c call) (answer, error) {
		out, err := s.cloud.Invoke(ctx, l.function, asked(c, l.path))
		if err != nil {
			return answer{}, err
		}
		if l.key == "" {
			body, err := l.view(out)
			return answer{body: body}, err
		}
		all, _ := out[l.key].([]any)
		found := make([]cloud.Props, len(all))
		for n := range all {
			found[n], _ = all[n].(cloud.Props)
		}
		return s.listed(c, found, l.view)
	})
}
