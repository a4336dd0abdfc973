package settings

import (
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/common/encoding"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/config"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
)

// ParseStackFile reads the configuration in a stack file with Pulumi's own
// reader, and gives it the way Pulumi hands it to a program: a plain string as
// it is, everything else as JSON. A placeholder stands for each encrypted value;
// secretKeys are the keys that hold one.
func ParseStackFile(text []byte) (values map[string]string, secretKeys []string, err error) {
	project := &workspace.Project{Name: tokens.PackageName(Project)}
	file, err := workspace.LoadProjectStackBytes(nil, project, text, "a stack file", encoding.YAML)
	if err != nil {
		return nil, nil, fmt.Errorf("reading a stack file: %w", err)
	}
	opened, err := file.Config.Decrypt(config.NewBlindingDecrypter())
	if err != nil {
		return nil, nil, fmt.Errorf("reading a stack file: %w", err)
	}
	values = make(map[string]string, len(opened))
	for key, value := range opened {
		values[key.String()] = value
	}
	for _, key := range file.Config.SecureKeys() {
		secretKeys = append(secretKeys, key.String())
	}
	return values, secretKeys, nil
}
