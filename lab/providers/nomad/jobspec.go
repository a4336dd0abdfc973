package nomad

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/hashicorp/nomad/api"
	"github.com/zclconf/go-cty/cty"

	"github.com/emqx-oci/emqx-oci/lab/providers/rpc"
)

// spec is the text of a job and the values of its variables.
type spec struct {
	text string
	json bool
	vars map[string]string
}

func specOf(in rpc.Props) spec {
	s := spec{text: text(in["jobspec"]), vars: map[string]string{}}
	s.json, _ = in["json"].(bool)
	hcl2, _ := in["hcl2"].(map[string]any)
	vars, _ := hcl2["vars"].(map[string]any)
	for k, v := range vars {
		s.vars[k] = text(v)
	}
	return s
}

// variables checks the text as far as that goes without a server, and returns
// the variables' values as the content of a variables file, which is what the
// server's parser takes. As on a command line, a value is text for a string or
// number variable and an expression for any other.
func (s spec) variables() (string, error) {
	file, diags := hclsyntax.ParseConfig([]byte(s.text), "input.hcl", hcl.InitialPos)
	if diags.HasErrors() {
		return "", diags
	}
	body, ok := file.Body.(*hclsyntax.Body)
	if !ok {
		return "", errors.New("the job is not written in HCL")
	}
	var content strings.Builder
	var faults hcl.Diagnostics
	declared := map[string]bool{}
	for _, b := range body.Blocks {
		if b.Type != "variable" || len(b.Labels) != 1 {
			continue
		}
		name := b.Labels[0]
		declared[name] = true
		value, set := s.vars[name]
		if !set {
			if _, hasDefault := b.Body.Attributes["default"]; !hasDefault {
				faults = append(faults, &hcl.Diagnostic{
					Severity: hcl.DiagError,
					Summary:  fmt.Sprintf("Unset variable %q", name),
					Detail:   "A used variable must be set or have a default value",
					Subject:  b.DefRange().Ptr(),
				})
			}
			continue
		}
		if isText(b) {
			value = string(hclwrite.TokensForValue(cty.StringVal(value)).Bytes())
		} else if _, diags := hclsyntax.ParseExpression([]byte(value), "<value for var."+name+" from arguments>", hcl.InitialPos); diags.HasErrors() {
			faults = append(faults, diags...)
		}
		fmt.Fprintf(&content, "%s = %s\n", name, value)
	}
	names := make([]string, 0, len(s.vars))
	for name := range s.vars {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		if !declared[name] {
			faults = append(faults, &hcl.Diagnostic{
				Severity: hcl.DiagError,
				Summary:  "Undefined -var variable",
				Detail:   fmt.Sprintf("A %q variable was passed in the command line but was not found in known variables. To declare variable %q, place a block in your job file", name, name),
			})
		}
	}
	if len(faults) > 0 {
		return "", faults
	}
	return content.String(), nil
}

// isText reports whether the variable takes its value as it stands.
func isText(b *hclsyntax.Block) bool {
	if t, ok := b.Body.Attributes["type"]; ok {
		word := hcl.ExprAsKeyword(t.Expr)
		return word == "string" || word == "number"
	}
	if d, ok := b.Body.Attributes["default"]; ok {
		v, diags := d.Expr.Value(nil)
		return !diags.HasErrors() && (v.Type() == cty.String || v.Type() == cty.Number)
	}
	return true
}

// parse has the server parse the job. An error without an answer of a server
// satisfies errors.Is(err, errNoServer).
func (c *client) parse(ctx context.Context, s spec) (*api.Job, error) {
	if s.json {
		return parseJSON(s.text)
	}
	content, err := s.variables()
	if err != nil {
		return nil, fmt.Errorf("error parsing jobspec: %w", err)
	}
	var job api.Job
	req := &api.JobsParseRequest{JobHCL: s.text, Variables: content}
	if _, err := c.api.Raw().Write("/v1/jobs/parse", req, &job, c.write(ctx, "")); err != nil {
		if _, ok := answered(err); !ok {
			return nil, fmt.Errorf("error parsing jobspec: %w: %w", errNoServer, err)
		}
		var u api.UnexpectedResponseError
		errors.As(err, &u)
		return nil, fmt.Errorf("error parsing jobspec: %s", strings.TrimPrefix(u.Body(), "Failed to parse job: "))
	}
	return named(&job)
}

var errNoServer = errors.New("no answer from Nomad")

// parseJSON takes a job with or without the "Job" root that `nomad job run
// -output` writes.
func parseJSON(raw string) (*api.Job, error) {
	var root struct{ Job *api.Job }
	if err := json.Unmarshal([]byte(raw), &root); err != nil {
		return nil, fmt.Errorf("error parsing jobspec: %w", err)
	}
	if root.Job != nil {
		return named(root.Job)
	}
	var job api.Job
	if err := json.Unmarshal([]byte(raw), &job); err != nil {
		return nil, fmt.Errorf("error parsing jobspec: %w", err)
	}
	return named(&job)
}

func named(job *api.Job) (*api.Job, error) {
	if job.ID == nil || *job.ID == "" {
		return nil, errors.New("error parsing jobspec: input JSON is not a valid Nomad jobspec")
	}
	if job.Namespace == nil || *job.Namespace == "" {
		namespace := api.DefaultNamespace
		job.Namespace = &namespace
	}
	return job, nil
}
