package oci

import (
	"encoding/base64"
	"errors"

	"github.com/pulumi/pulumi-oci/sdk/v3/go/oci/secrets"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// Secret reads the current version of a Vault secret.
func Secret(ctx *pulumi.Context, id string, opts ...pulumi.InvokeOption) ([]byte, error) {
	found, err := secrets.GetSecretbundle(ctx, &secrets.GetSecretbundleArgs{SecretId: id}, opts...)
	if err != nil {
		return nil, err
	}
	for _, c := range found.SecretBundleContents {
		return base64.StdEncoding.DecodeString(c.Content)
	}
	return nil, errors.New("it has no content")
}
