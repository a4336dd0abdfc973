package components

import (
	"fmt"
	"strings"

	"github.com/pulumi/pulumi-oci/sdk/v3/go/oci/core"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components/settings"
)

// findBackupPolicy gives the OCID of the settings' backup policy, "" for none. OCI
// lists Oracle's own policies when it is asked for those of no compartment.
func findBackupPolicy(ctx *pulumi.Context, s settings.Settings, in providers) (string, error) {
	name := s.Volumes.BackupPolicy
	if name == "" || strings.HasPrefix(name, "ocid1.") {
		return name, nil
	}
	const setting = settings.Project + ":volumes.backupPolicy"
	answer, err := core.GetVolumeBackupPolicies(ctx, &core.GetVolumeBackupPoliciesArgs{}, pulumi.Provider(in.oci))
	if err != nil {
		return "", fmt.Errorf("%s: must be a policy that can be looked up, got %q: %w", setting, name, err)
	}
	var names []string
	for _, p := range answer.VolumeBackupPolicies {
		if strings.EqualFold(p.DisplayName, name) {
			return p.Id, nil
		}
		names = append(names, fmt.Sprintf("%q", p.DisplayName))
	}
	return "", fmt.Errorf("%s: must be one of Oracle's policies, got %q; there are %s", setting, name, strings.Join(names, ", "))
}
