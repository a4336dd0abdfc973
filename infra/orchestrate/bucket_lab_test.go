//go:build lab

package orchestrate

import (
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/blang/semver"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optdestroy"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optup"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/internal/agenttest"
)

// objectStorage is an S3 endpoint with one bucket that refuses what OCI's Object Storage refuses: it answers 501 to
// a body in aws-chunked encoding, which is how AWS's SDK sends a checksum after the body.
type objectStorage struct {
	s3 http.Handler

	mu      sync.Mutex
	refused []string
}

func (s *objectStorage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	chunked := strings.Contains(r.Header.Get("Content-Encoding"), "aws-chunked") || r.Header.Get("X-Amz-Trailer") != "" ||
		strings.HasPrefix(r.Header.Get("X-Amz-Content-Sha256"), "STREAMING-")
	if !chunked {
		s.s3.ServeHTTP(w, r)
		return
	}
	s.mu.Lock()
	s.refused = append(s.refused, r.Method+" "+r.URL.Path)
	s.mu.Unlock()
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(http.StatusNotImplemented)
	_, _ = w.Write([]byte(`<Error><Code>NotImplemented</Code><Message>AWS chunked encoding not supported</Message></Error>`))
}

// loginURL is the address of the state's bucket as the page tells people to write it, with another endpoint.
func loginURL(t *testing.T, endpoint string) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/tasks/first-deployment.md")
	assert.NilError(t, err)
	found := regexp.MustCompile(`pulumi login '(s3://[^']+)'`).FindSubmatch(page)
	assert.Assert(t, found != nil, "the page says no bucket's address")
	const oracle = "https://<namespace>.compat.objectstorage.<region>.oraclecloud.com"
	assert.Assert(t, strings.Contains(string(found[1]), oracle), "%s", found[1])
	return strings.NewReplacer(oracle, endpoint, "<bucket>", "state", "<region>", "eu-frankfurt-1").Replace(string(found[1]))
}

// TestStateInObjectStorage keeps a stack in a bucket that takes what OCI's takes: created, locked, changed, destroyed.
func TestStateInObjectStorage(t *testing.T) {
	backend := s3mem.New()
	assert.NilError(t, backend.CreateBucket("state"))
	storage := &objectStorage{s3: gofakes3.New(backend).Server()}
	server := httptest.NewServer(storage)
	t.Cleanup(server.Close)
	chunked, err := http.NewRequestWithContext(t.Context(), http.MethodPut, server.URL+"/state/x", strings.NewReader("1\r\nx\r\n0\r\n\r\n"))
	assert.NilError(t, err)
	chunked.Header.Set("Content-Encoding", "aws-chunked")
	refusal, err := http.DefaultClient.Do(chunked)
	assert.NilError(t, err)
	assert.NilError(t, refusal.Body.Close())
	assert.Equal(t, refusal.StatusCode, http.StatusNotImplemented, "the endpoint takes what OCI refuses")
	storage.refused = nil

	command, err := auto.NewPulumiCommand(&auto.PulumiCommandOptions{Root: agenttest.Root(), Version: semver.MustParse(minimumCLI)})
	assert.NilError(t, err)
	output := "first"
	stack, err := auto.UpsertStackInlineSource(t.Context(), "prod", "emqx-oci",
		func(ctx *pulumi.Context) error { ctx.Export("says", pulumi.String(output)); return nil },
		auto.Pulumi(command), auto.PulumiHome(t.TempDir()), auto.WorkDir(t.TempDir()),
		auto.EnvVars(map[string]string{
			"PULUMI_BACKEND_URL":       loginURL(t, server.URL),
			"PULUMI_CONFIG_PASSPHRASE": "lab",
			"PULUMI_SKIP_UPDATE_CHECK": "true",
			"AWS_ACCESS_KEY_ID":        "key",
			"AWS_SECRET_ACCESS_KEY":    "secret",
		}))
	assert.NilError(t, err)
	_, err = stack.Up(t.Context())
	assert.NilError(t, err)
	output = "second"
	res, err := stack.Up(t.Context(), optup.Diff())
	assert.NilError(t, err)
	assert.Equal(t, res.Outputs["says"].Value, "second")

	keys := func() (names []string) {
		list, err := backend.ListBucket("state", nil, gofakes3.ListBucketPage{})
		assert.NilError(t, err)
		for _, c := range list.Contents {
			names = append(names, c.Key)
		}
		return names
	}
	assert.Assert(t, slices.Contains(keys(), ".pulumi/stacks/emqx-oci/prod.json"), "%s", keys())
	_, err = stack.Destroy(t.Context(), optdestroy.Remove())
	assert.NilError(t, err)
	assert.Assert(t, !slices.Contains(keys(), ".pulumi/stacks/emqx-oci/prod.json"), "%s", keys())
	for _, k := range keys() {
		assert.Check(t, !strings.HasPrefix(k, ".pulumi/locks/"), "a lock is left: %s", k)
	}
	assert.DeepEqual(t, storage.refused, []string(nil))
}
