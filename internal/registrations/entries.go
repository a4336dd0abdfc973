package registrations

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/structpb"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/internal/langhost"
)

// Direct runs a program in this process: what both entries have to match.
func Direct(t *testing.T, program pulumi.RunFunc, run Run) Recording {
	t.Helper()
	m := listen(t, run)
	ctx, err := pulumi.NewContext(t.Context(), pulumi.RunInfo{
		Project: run.Project, Stack: run.Stack, Config: run.Config, ConfigSecretKeys: run.SecretKeys,
		DryRun: true, MonitorAddr: m.address, EngineAddr: m.address, Parallel: 16,
	})
	assert.NilError(t, err)
	defer ctx.Close()
	assert.NilError(t, pulumi.RunWithContext(ctx, program))
	return m.recording(t)
}

// Plain runs a built program as `pulumi preview` does: by a language host.
func Plain(t *testing.T, binary string, run Run) Recording {
	t.Helper()
	m, answer, out := plain(t, binary, run)
	assert.Equal(t, answer.GetError(), "", "%s", out)
	recording := m.recording(t)
	assert.Assert(t, !answer.GetBail(), "%s", out)
	return recording
}

// Refusal is what a built program says that `pulumi preview` runs and that refuses,
// before it registers anything; empty when it does not refuse.
func Refusal(t *testing.T, binary string, run Run) string {
	t.Helper()
	m, answer, _ := plain(t, binary, run)
	m.mu.Lock()
	defer m.mu.Unlock()
	if answer.GetError() == "" && !answer.GetBail() {
		return ""
	}
	for name, r := range m.seen.Resources {
		assert.Assert(t, !r.GetCustom(), "%s was registered before", name)
	}
	return strings.Join(append(m.errors, answer.GetError()), "\n")
}

func plain(t *testing.T, binary string, run Run) (*monitor, *pulumirpc.RunResponse, string) {
	t.Helper()
	m := listen(t, run)
	options, err := structpb.NewStruct(map[string]any{"binary": binary})
	assert.NilError(t, err)
	var out bytes.Buffer
	answer, err := langhost.New(m.address, &out, &out).Run(t.Context(), m.request(&pulumirpc.ProgramInfo{
		RootDirectory: filepath.Dir(binary), ProgramDirectory: filepath.Dir(binary), EntryPoint: ".", Options: options,
	}))
	assert.NilError(t, err)
	return m, answer, out.String()
}

// ByCommand runs a command that deploys through the Automation API, with this
// test's own binary, by the name of pulumi, in the engine's place. TestMain has to
// call [FakePulumi].
func ByCommand(t *testing.T, cmd *exec.Cmd, run Run) Recording {
	t.Helper()
	m := listen(t, run)
	request, err := json.Marshal(m.request(nil)) //nolint:gosec // "pwd" is a folder
	assert.NilError(t, err)
	cmd.Env = append(cmd.Env, requestEnv+"="+string(request), "EMQX_OCI_PULUMI="+Link(t, "pulumi"))
	out, err := cmd.CombinedOutput()
	assert.NilError(t, err, "%s", out)
	return m.recording(t)
}

// Link makes the test's own binary callable by another name.
func Link(t *testing.T, name string) string {
	t.Helper()
	self, err := os.Executable()
	assert.NilError(t, err)
	path := filepath.Join(t.TempDir(), name)
	assert.NilError(t, os.Symlink(self, path))
	return path
}

func (m *monitor) request(info *pulumirpc.ProgramInfo) *pulumirpc.RunRequest {
	return &pulumirpc.RunRequest{
		Project: m.run.Project, Stack: m.run.Stack, Config: m.run.Config, ConfigSecretKeys: m.run.SecretKeys,
		DryRun: true, Parallel: 16, MonitorAddress: m.address, Args: []string{m.address}, Pwd: os.TempDir(), Info: info,
	}
}

// requestEnv hands the stand-in of pulumi what it asks the program's host for.
const requestEnv = "EMQX_OCI_TEST_RUN_REQUEST"

// FakePulumi is the pulumi command as far as the Automation API needs it for a
// preview of a stack that exists. It reads no configuration: the test brings it.
// False means that this process goes by another name.
func FakePulumi() bool {
	if filepath.Base(os.Args[0]) != "pulumi" {
		return false
	}
	if err := fakePulumi(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "error: "+err.Error())
		os.Exit(1)
	}
	return true
}

func fakePulumi(args []string) error {
	if args[0] == "version" {
		_, err := fmt.Fprintln(os.Stdout, "v3.276.0")
		return err
	}
	var client, events string
	preview := false
	for i, a := range args {
		preview = preview || a == "preview"
		if c, ok := strings.CutPrefix(a, "--client="); ok {
			client = c
		}
		if a == "--event-log" {
			events = args[i+1]
		}
	}
	if !preview {
		return nil
	}
	var request pulumirpc.RunRequest
	if err := json.Unmarshal([]byte(os.Getenv(requestEnv)), &request); err != nil {
		return fmt.Errorf("reading %s: %w", requestEnv, err)
	}
	host, err := grpc.NewClient(client, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer host.Close()
	answer, err := pulumirpc.NewLanguageRuntimeClient(host).Run(context.Background(), &request)
	if err != nil {
		return err
	}
	if answer.GetError() != "" {
		return errors.New(answer.GetError())
	}
	return summary(strings.TrimPrefix(events, "tcp://"))
}

// summary is the one event that the Automation API insists on.
func summary(address string) error {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	stream, err := pulumirpc.NewEventsClient(conn).StreamEvents(context.Background())
	if err != nil {
		return err
	}
	text, err := json.Marshal(apitype.EngineEvent{SummaryEvent: &apitype.SummaryEvent{}})
	if err != nil {
		return err
	}
	if err := stream.Send(&pulumirpc.EventRequest{Event: string(text)}); err != nil {
		return err
	}
	_, err = stream.CloseAndRecv()
	return err
}
