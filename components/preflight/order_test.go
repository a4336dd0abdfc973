package preflight

import (
	"strings"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/settings"
)

// The same job file has the same fault every time, though locals and attributes have no order.
func TestTheSameFaultIsToldEveryTime(t *testing.T) {
	for _, source := range []string{
		"locals {\n  a = var.x\n  b = var.y\n  c = var.z\n  d = var.w\n}\n",
		"job \"j\" {\n  a = var.x\n  b = var.y\n  c = var.z\n  d = var.w\n}\n",
	} {
		_, first := evaluate(source, nil)
		assert.ErrorContains(t, first, "")
		for range 20 {
			_, again := evaluate(source, nil)
			assert.Error(t, again, first.Error())
		}
	}
}

// Two variables of which one value begins the other, and a finding that names both.
func TestASecretInsideAnotherLeavesNothingOfIt(t *testing.T) {
	secrets := map[string]settings.Secret{"EMQX_A": "hunter", "EMQX_B": "hunter-is-longer"}
	for range 20 {
		got := veiled([]Finding{{Path: "broker.env.EMQX_A", Message: "EMQX_B must not be hunter-is-longer, nor hunter"}}, secrets)
		assert.Assert(t, !strings.Contains(got[0].Message, "hunter") && !strings.Contains(got[0].Message, "longer"), got[0].Message)
	}
}
