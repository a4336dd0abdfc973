package ocihosts

import (
	"errors"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/fault"
	"github.com/emqx-oci/emqx-oci/components/oci"
	"github.com/emqx-oci/emqx-oci/components/recorder"
	"github.com/emqx-oci/emqx-oci/components/seams"
	"github.com/emqx-oci/emqx-oci/components/settings"
)

func TestBackupPolicyByNameAndByOCID(t *testing.T) {
	oracles := []any{
		map[string]any{"displayName": "Gold", "id": "ocid1.volumebackuppolicy.oc1..g"},
		map[string]any{"displayName": "bronze", "id": "ocid1.volumebackuppolicy.oc1..b"},
	}
	asked := 0
	find := func(given string, refused error) (found string, err error) {
		_, err = recorder.Run(func(ctx *pulumi.Context) error {
			s := settings.Settings{Environment: "test"}
			s.Volumes.BackupPolicy = given
			provider, err := oci.Provider.New(ctx, "oci", s)
			if err != nil {
				return err
			}
			var f fault.List
			found = findBackupPolicy(ctx, seams.Given{Settings: s, Providers: map[string]pulumi.ProviderResource{oci.Package: provider}}, &f)
			return f.Err()
		}, recorder.Options{Preview: true, Call: func(token string, args resource.PropertyMap) (map[string]any, error) {
			asked++
			assert.Equal(t, token, "oci:Core/getVolumeBackupPolicies:getVolumeBackupPolicies")
			assert.Assert(t, !args.HasValue("compartmentId"), "a compartment's are those of its users")
			return map[string]any{"volumeBackupPolicies": oracles}, refused
		}})
		return found, err
	}
	for given, want := range map[string]string{
		"": "", "ocid1.volumebackuppolicy.oc1..own": "ocid1.volumebackuppolicy.oc1..own",
		"gold": "ocid1.volumebackuppolicy.oc1..g", "bronze": "ocid1.volumebackuppolicy.oc1..b",
	} {
		got, err := find(given, nil)
		assert.NilError(t, err)
		assert.Equal(t, got, want)
	}
	assert.Equal(t, asked, 2, "an OCID needs no lookup")
	_, err := find("silver", nil)
	assert.ErrorContains(t, err, `emqx-oci:volumes.backupPolicy: must be one of Oracle's policies, got "silver"; there are "Gold", "bronze"`)
	_, err = find("gold", errors.New("404-NotAuthorizedOrNotFound"))
	assert.ErrorContains(t, err, `emqx-oci:volumes.backupPolicy: must be a policy that can be looked up, got "gold"`)
}
