package oci

import (
	"errors"

	"github.com/pulumi/pulumi-oci/sdk/v3/go/oci/secrets"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// Secret reads the current version of a Vault secret: its content in base64.
func Secret(ctx *pulumi.Context, id string, opts ...pulumi.InvokeOption) (string, error) {
	found, err := secrets.GetSecretbundle(ctx, &secrets.GetSecretbundleArgs{SecretId: id}, opts...)
	if err != nil {
		return "", err
	}
	for _, c := range found.SecretBundleContents {
		return c.Content, nil
	}
	return "", errors.New("it has no content")
}
