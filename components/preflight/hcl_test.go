package preflight

import (
	"fmt"
	"maps"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// block is a part of a job file with every value worked out. What only a node
// knows when the job runs stays as it was written: "${node.unique.name}".
type block struct {
	kind   string
	labels []string
	attrs  map[string]cty.Value
	blocks []block
}

// evaluate works a job file out the way Nomad does: variables, locals, dynamic
// blocks.
func evaluate(source string, vars map[string]string) (block, error) {
	file, diags := hclsyntax.ParseConfig([]byte(source), "job", hcl.InitialPos)
	if diags.HasErrors() {
		return block{}, diags
	}
	body := file.Body.(*hclsyntax.Body) //nolint:forcetypeassert // what ParseConfig returns
	ctx := &hcl.EvalContext{Functions: functions, Variables: atRunTime(body)}
	var err error
	if ctx.Variables["var"], err = variables(body, vars); err != nil {
		return block{}, err
	}
	if err := locals(body, ctx); err != nil {
		return block{}, err
	}
	for _, b := range body.Blocks {
		if b.Type == "job" {
			return evaluateBlock(b, b.Body, ctx)
		}
	}
	return block{}, fmt.Errorf("there is no job in it")
}

func variables(body *hclsyntax.Body, given map[string]string) (cty.Value, error) {
	values := map[string]cty.Value{}
	for _, b := range body.Blocks {
		if b.Type != "variable" || len(b.Labels) != 1 {
			continue
		}
		name, kind := b.Labels[0], cty.DynamicPseudoType
		if t, ok := b.Body.Attributes["type"]; ok {
			var diags hcl.Diagnostics
			if kind, diags = typeexpr.TypeConstraint(t.Expr); diags.HasErrors() {
				return cty.NilVal, diags
			}
		}
		v, set := given[name]
		value := cty.StringVal(v)
		switch fallback, ok := b.Body.Attributes["default"]; {
		case !set && !ok:
			return cty.NilVal, fmt.Errorf("variable %q is not set", name)
		case !set:
			var diags hcl.Diagnostics
			if value, diags = fallback.Expr.Value(nil); diags.HasErrors() {
				return cty.NilVal, diags
			}
		case !kind.IsPrimitiveType():
			expr, diags := hclsyntax.ParseExpression([]byte(v), name, hcl.InitialPos)
			if diags.HasErrors() {
				return cty.NilVal, diags
			}
			if value, diags = expr.Value(nil); diags.HasErrors() {
				return cty.NilVal, diags
			}
		}
		value, err := convert.Convert(value, kind)
		if err != nil {
			return cty.NilVal, fmt.Errorf("variable %q: %w", name, err)
		}
		values[name] = value
	}
	return cty.ObjectVal(values), nil
}

// locals may use each other in any order.
func locals(body *hclsyntax.Body, ctx *hcl.EvalContext) error {
	open, done := map[string]hclsyntax.Expression{}, map[string]cty.Value{}
	for _, b := range body.Blocks {
		if b.Type == "locals" {
			for name, a := range b.Body.Attributes {
				open[name] = a.Expr
			}
		}
	}
	for len(open) > 0 {
		ctx.Variables["local"] = cty.ObjectVal(done)
		before := len(open)
		var last hcl.Diagnostics
		for _, name := range slices.Sorted(maps.Keys(open)) { // of several faults always the same
			value, diags := open[name].Value(ctx)
			if diags.HasErrors() {
				last = diags
				continue
			}
			done[name] = value
			delete(open, name)
		}
		if len(open) == before {
			return last
		}
	}
	ctx.Variables["local"] = cty.ObjectVal(done)
	return nil
}

func evaluateBlock(b *hclsyntax.Block, body *hclsyntax.Body, ctx *hcl.EvalContext) (block, error) {
	out := block{kind: b.Type, labels: b.Labels, attrs: map[string]cty.Value{}}
	for _, name := range slices.Sorted(maps.Keys(body.Attributes)) {
		value, diags := body.Attributes[name].Expr.Value(ctx)
		if diags.HasErrors() {
			return out, diags
		}
		out.attrs[name] = value
	}
	for _, child := range body.Blocks {
		var inner []block
		var err error
		if child.Type == "dynamic" && len(child.Labels) == 1 {
			inner, err = expand(child, ctx)
		} else {
			var one block
			one, err = evaluateBlock(child, child.Body, ctx)
			inner = []block{one}
		}
		if err != nil {
			return out, err
		}
		out.blocks = append(out.blocks, inner...)
	}
	return out, nil
}

// expand makes one block for each element of a dynamic block's for_each.
func expand(b *hclsyntax.Block, ctx *hcl.EvalContext) ([]block, error) {
	each, ok := b.Body.Attributes["for_each"]
	if !ok {
		return nil, fmt.Errorf("a dynamic %q has no for_each", b.Labels[0])
	}
	over, diags := each.Expr.Value(ctx)
	if diags.HasErrors() {
		return nil, diags
	}
	iterator := b.Labels[0]
	if it, ok := b.Body.Attributes["iterator"]; ok {
		iterator = hcl.ExprAsKeyword(it.Expr)
	}
	var found []block
	for element := over.ElementIterator(); element.Next(); {
		key, value := element.Element()
		inner := ctx.NewChild()
		inner.Variables = map[string]cty.Value{iterator: cty.ObjectVal(map[string]cty.Value{"key": key, "value": value})}
		for _, content := range b.Body.Blocks {
			if content.Type != "content" {
				continue
			}
			one, err := evaluateBlock(content, content.Body, inner)
			if err != nil {
				return nil, err
			}
			one.kind = b.Labels[0]
			if labels, ok := b.Body.Attributes["labels"]; ok {
				list, diags := labels.Expr.Value(inner)
				if diags.HasErrors() {
					return nil, diags
				}
				for l := list.ElementIterator(); l.Next(); {
					_, label := l.Element()
					one.labels = append(one.labels, label.AsString())
				}
			}
			found = append(found, one)
		}
	}
	return found, nil
}

// atRunTime are the names that nobody can resolve yet, such as node and
// NOMAD_IP_rpc, each with its own spelling as its value.
func atRunTime(body *hclsyntax.Body) map[string]cty.Value {
	type tree map[string]any
	found := tree{}
	_ = hclsyntax.VisitAll(body, func(n hclsyntax.Node) hcl.Diagnostics {
		expr, ok := n.(*hclsyntax.ScopeTraversalExpr)
		if !ok {
			return nil
		}
		at, spelled := found, ""
		for i, step := range expr.Traversal {
			var name string
			switch s := step.(type) {
			case hcl.TraverseRoot:
				name, spelled = s.Name, s.Name
			case hcl.TraverseAttr:
				name, spelled = s.Name, spelled+"."+s.Name
			default:
				return nil
			}
			if i == len(expr.Traversal)-1 {
				if _, taken := at[name]; !taken {
					at[name] = "${" + spelled + "}"
				}
				return nil
			}
			next, ok := at[name].(tree)
			if !ok {
				next = tree{}
				at[name] = next
			}
			at = next
		}
		return nil
	})
	var value func(any) cty.Value
	value = func(x any) cty.Value {
		if s, ok := x.(string); ok {
			return cty.StringVal(s)
		}
		attrs := map[string]cty.Value{}
		for name, inner := range x.(tree) { //nolint:forcetypeassert // one of the two
			attrs[name] = value(inner)
		}
		return cty.ObjectVal(attrs)
	}
	values := map[string]cty.Value{}
	for name, x := range found {
		if name != "var" && name != "local" {
			values[name] = value(x)
		}
	}
	return values
}

// functions are those of Nomad's job language that a job file may use here.
var functions = map[string]function.Function{
	"ceil": stdlib.CeilFunc, "coalesce": stdlib.CoalesceFunc, "concat": stdlib.ConcatFunc, "contains": stdlib.ContainsFunc,
	"flatten": stdlib.FlattenFunc, "floor": stdlib.FloorFunc, "format": stdlib.FormatFunc, "join": stdlib.JoinFunc,
	"jsonencode": stdlib.JSONEncodeFunc, "keys": stdlib.KeysFunc, "length": stdlib.LengthFunc, "lookup": stdlib.LookupFunc,
	"lower": stdlib.LowerFunc, "max": stdlib.MaxFunc, "merge": stdlib.MergeFunc, "min": stdlib.MinFunc,
	"parseint": stdlib.ParseIntFunc, "range": stdlib.RangeFunc, "regex_replace": stdlib.RegexReplaceFunc,
	"replace": stdlib.ReplaceFunc, "reverse": stdlib.ReverseListFunc, "split": stdlib.SplitFunc,
	"tobool": stdlib.MakeToFunc(cty.Bool), "tonumber": stdlib.MakeToFunc(cty.Number), "tostring": stdlib.MakeToFunc(cty.String),
	"toset": stdlib.MakeToFunc(cty.Set(cty.DynamicPseudoType)), "trimprefix": stdlib.TrimPrefixFunc,
	"trimsuffix": stdlib.TrimSuffixFunc, "upper": stdlib.UpperFunc, "values": stdlib.ValuesFunc,
}

// one is the first block of a kind, and an empty one when there is none.
func (b block) one(kind string) block {
	for _, c := range b.blocks {
		if c.kind == kind {
			return c
		}
	}
	return block{kind: kind}
}

// all are the blocks of a kind.
func (b block) all(kind string) []block {
	var found []block
	for _, c := range b.blocks {
		if c.kind == kind {
			found = append(found, c)
		}
	}
	return found
}

func (b block) label() string {
	if len(b.labels) == 0 {
		return ""
	}
	return b.labels[0]
}

// has tells whether an attribute is written down.
func (b block) has(name string) bool {
	v, ok := b.attrs[name]
	return ok && !v.IsNull()
}

// text is an attribute as text, numbers and booleans too; "" when there is none.
func (b block) text(name string) string {
	if !b.has(name) {
		return ""
	}
	v, err := convert.Convert(b.attrs[name], cty.String)
	if err != nil || v.IsNull() || !v.IsKnown() {
		return ""
	}
	return v.AsString()
}

// number is an attribute as a whole number; 0 when there is none.
func (b block) number(name string) int {
	if !b.has(name) {
		return 0
	}
	v, err := convert.Convert(b.attrs[name], cty.Number)
	if err != nil || !v.IsKnown() {
		return 0
	}
	n, _ := v.AsBigFloat().Int64()
	return int(n)
}

// list is an attribute of texts.
func (b block) list(name string) []string {
	if !b.has(name) || !b.attrs[name].CanIterateElements() {
		return nil
	}
	var found []string
	for it := b.attrs[name].ElementIterator(); it.Next(); {
		if _, v := it.Element(); v.Type() == cty.String {
			found = append(found, v.AsString())
		}
	}
	return found
}
