package rest

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/emqx-oci/emqx-oci/lab/cloud"
)

// Paths of the two services of the vault: one reads what a secret holds, the other makes a new version.
const (
	bundlePath = "/20190301/secretbundles/{secretId}"
	secretPath = "/20180608/secrets/{secretId}" //nolint:gosec // a path
)

// getBundle answers as SecretRetrieval's GetSecretBundle.
func (s *service) getBundle(ctx context.Context, c call) (answer, error) {
	args := cloud.Props{"secretId": c.PathValue("secretId")}
	if v := c.URL.Query().Get("versionNumber"); v != "" {
		args["versionNumber"] = v
	}
	out, err := s.cloud.Invoke(ctx, "oci:Secrets/getSecretbundle:getSecretbundle", args)
	if err != nil {
		return answer{}, err
	}
	content := out["secretBundleContents"].([]any)[0].(cloud.Props) //nolint:forcetypeassert // the lab's own
	text, _ := out["versionNumber"].(string)
	return answer{body: map[string]any{
		"secretId": out["secretId"], "versionNumber": json.Number(text), "stages": out["stages"], "timeCreated": out["timeCreated"],
		"secretBundleContent": map[string]any{"contentType": "BASE64", "content": content["content"]},
	}}, nil
}

// updateSecret answers as Vaults' UpdateSecret does to a new content.
func (s *service) updateSecret(_ context.Context, c call) (answer, error) {
	var in struct {
		SecretContent struct {
			ContentType string `json:"contentType"`
			Content     string `json:"content"`
		} `json:"secretContent"`
	}
	if err := json.Unmarshal(c.content, &in); err != nil || in.SecretContent.ContentType != "BASE64" {
		return answer{}, &cloud.Error{Status: http.StatusBadRequest, Code: "InvalidParameter", Message: "secretContent must be of contentType BASE64"}
	}
	id := c.PathValue("secretId")
	if err := s.cloud.PutSecret(id, in.SecretContent.Content); err != nil {
		return answer{}, err
	}
	return answer{body: map[string]any{"id": id, "compartmentId": cloud.CompartmentID, "lifecycleState": "ACTIVE"}}, nil
}
