package structconfig_test

import (
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/fault"
	"github.com/emqx-oci/emqx-oci/internal/structconfig"
)

// poolArgs are those of a component: plain values decide what is made, inputs carry
// values that may be known later.
type poolArgs struct {
	Nodes   *poolNodes           `pulumi:"nodes,optional"`
	Subnet  pulumi.StringInput   `pulumi:"subnet" required:"true" format:"slug"`
	Size    pulumi.IntPtrInput   `pulumi:"size,optional" range:"1..9"`
	Zones   pulumi.StringArray   `pulumi:"zones,optional" format:"slug"`
	Tags    pulumi.StringMap     `pulumi:"tags,optional" keys:"slug" length:"0..3"`
	Members []pulumi.StringInput `pulumi:"members,optional" format:"slug"`
}

type poolNodes struct {
	Count int     `pulumi:"count" range:"1..3"`
	Shape *string `pulumi:"shape,optional" oneof:"small|large"`
}

func TestArgsOfAComponentAreValidated(t *testing.T) {
	args := structconfig.Describe(poolArgs{}, structconfig.Options{KeyTag: "pulumi", Format: formats})
	for _, tc := range []struct {
		args poolArgs
		want string
	}{
		{poolArgs{}, "subnet: must be set, to lower-case letters, such as main"},
		{poolArgs{Subnet: pulumi.String("x"), Nodes: &poolNodes{Count: 3, Shape: pulumi.StringRef("large")}, Size: pulumi.IntPtr(9)}, ""},
		{poolArgs{Subnet: pulumi.String("").ToStringOutput(), Size: pulumi.Int(3).ToIntPtrOutput(), Zones: pulumi.StringArray{pulumi.String("").ToStringOutput()}}, ""},
		{
			poolArgs{
				Subnet: pulumi.String("X"), Nodes: &poolNodes{Count: 4, Shape: pulumi.StringRef("huge")}, Size: pulumi.Int(10),
				Zones: pulumi.StringArray{pulumi.String("a"), pulumi.String("B")}, Tags: pulumi.StringMap{"a": pulumi.String("long"), "A": pulumi.String("")},
				Members: []pulumi.StringInput{pulumi.String("ok"), nil, pulumi.String("none")},
			},
			`members[2]: must be lower-case letters, such as main, got "none"
nodes.count: must be 1 to 3, got 4
nodes.shape: must be small or large, got "huge"
size: must be 1 to 9, got 10
subnet: must be lower-case letters, such as main, got "X"; did you mean "x"?
tags.A: must be lower-case letters, such as main
tags.a: must have 0 to 3 characters, got 4
zones[1]: must be lower-case letters, such as main, got "B"; did you mean "b"?`,
		},
	} {
		var f fault.List
		args.Validate(&f, &tc.args, structconfig.Validation{})
		if tc.want == "" {
			assert.NilError(t, f.Err())
			continue
		}
		assert.Error(t, f.Err(), tc.want)
	}
}

func TestAPropertyMapIsDecoded(t *testing.T) {
	type pool struct {
		Nodes poolNodes         `pulumi:"nodes"`
		Zones []string          `pulumi:"zones,optional"`
		Tags  map[string]string `pulumi:"tags,optional"`
	}
	args := structconfig.Describe(pool{}, structconfig.Options{KeyTag: "pulumi"})
	read := func(properties resource.PropertyMap) (pool, error) {
		given, err := structconfig.JSON(properties.Mappable())
		assert.NilError(t, err)
		var f fault.List
		var p pool
		args.Decode(&f, given, &p)
		args.Validate(&f, &p, structconfig.Validation{})
		return p, f.Err()
	}
	p, err := read(resource.NewPropertyMapFromMap(map[string]any{
		"nodes": map[string]any{"count": 2, "shape": "small"}, "zones": []any{"a"}, "tags": map[string]any{"team": "iot"},
	}))
	assert.NilError(t, err)
	assert.DeepEqual(t, p, pool{Nodes: poolNodes{Count: 2, Shape: pulumi.StringRef("small")}, Zones: []string{"a"}, Tags: map[string]string{"team": "iot"}})

	_, err = read(resource.NewPropertyMapFromMap(map[string]any{"nodes": map[string]any{"count": 2.5, "shap": "small"}, "zones": "a"}))
	assert.Error(t, err, "nodes.count: must be a whole number, got 2.5\nnodes.shap: is not a known setting; did you mean \"shape\"?\nzones: must be a list, got \"a\"")
	_, err = structconfig.JSON(map[string]any{"x": func() {}})
	assert.ErrorContains(t, err, "reading x: json: unsupported type")
}

// An input has no kind that text could become.
func TestInputsCannotBeDecoded(t *testing.T) {
	args := structconfig.Describe(poolArgs{}, structconfig.Options{KeyTag: "pulumi", Format: formats})
	given, err := structconfig.JSON(map[string]any{"subnet": "x"})
	assert.NilError(t, err)
	assert.Equal(t, panicked(func() { args.Decode(&fault.List{}, given, &poolArgs{}) }),
		"structconfig: subnet has the type pulumi.StringInput, which nothing can be decoded to")
}
