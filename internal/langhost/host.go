package langhost

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
)

// exitLogged is what pulumi.Run ends with when it has told the engine why it
// failed (ExitStatusLoggedError of the SDK).
const exitLogged = 32

// host runs Go programs for one engine.
type host struct {
	pulumirpc.UnimplementedLanguageRuntimeServer
	// engine is the address to which the program sends its messages.
	engine string
	// stdout and stderr are this process's own: the engine reads them and shows
	// what it finds there as the program's output.
	stdout, stderr io.Writer
}

// New makes a host for the engine at an address. What programs print goes to
// stdout and stderr.
func New(engine string, stdout, stderr io.Writer) pulumirpc.LanguageRuntimeServer {
	return &host{engine: engine, stdout: stdout, stderr: stderr}
}

func (h *host) Handshake(_ context.Context, r *pulumirpc.LanguageHandshakeRequest) (*pulumirpc.LanguageHandshakeResponse, error) {
	h.engine = r.GetEngineAddress()
	return &pulumirpc.LanguageHandshakeResponse{}, nil
}

func (*host) GetPluginInfo(context.Context, *emptypb.Empty) (*pulumirpc.PluginInfo, error) {
	return &pulumirpc.PluginInfo{Version: "0.0.0-test"}, nil
}

func (*host) About(context.Context, *pulumirpc.AboutRequest) (*pulumirpc.AboutResponse, error) {
	return &pulumirpc.AboutResponse{
		Version:  runtime.Version(),
		Metadata: map[string]string{"host": "a test tool of emqx-oci; people use the one that ships with Pulumi"},
	}, nil
}

// GetRequiredPackages names the provider plugins of the SDKs that the program is
// built with, as each SDK's pulumi-plugin.json tells. The engine attaches the
// lab's providers in their place; where it finds neither, it downloads them.
func (h *host) GetRequiredPackages(
	ctx context.Context, r *pulumirpc.GetRequiredPackagesRequest,
) (*pulumirpc.GetRequiredPackagesResponse, error) {
	dir := r.GetInfo().GetProgramDirectory()
	// Plugin files lie beside a package of the module, at a depth of its own: the
	// folders of the packages in use are where to look.
	cmd := exec.CommandContext(ctx, "go", "list", "-deps", "-f", "{{if not .Standard}}{{.Dir}}{{end}}", ".")
	cmd.Dir, cmd.Stderr = dir, h.stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("listing the packages of %s: %w", dir, err)
	}
	answer := &pulumirpc.GetRequiredPackagesResponse{}
	for pkg := range strings.Lines(string(out)) {
		p, err := plugin(strings.TrimSpace(pkg))
		if err != nil {
			return nil, err
		}
		if p != nil {
			answer.Packages = append(answer.Packages, p)
		}
	}
	return answer, nil
}

func plugin(dir string) (*pulumirpc.PackageDependency, error) {
	if dir == "" {
		return nil, nil
	}
	name := filepath.Join(dir, "pulumi-plugin.json")
	text, err := os.ReadFile(name) //nolint:gosec // a package of the program
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("reading a package's plugin: %w", err)
	}
	var p struct {
		Resource              bool
		Name, Version, Server string
	}
	if err := json.Unmarshal(text, &p); err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	if !p.Resource {
		return nil, nil
	}
	return &pulumirpc.PackageDependency{Name: p.Name, Kind: "resource", Version: p.Version, Server: p.Server}, nil
}

// Run builds the program and runs it to its end. A context that ends, because
// the engine was cancelled, ends the program, too.
func (h *host) Run(ctx context.Context, r *pulumirpc.RunRequest) (*pulumirpc.RunResponse, error) {
	program, err := h.program(ctx, r.GetInfo())
	if err != nil {
		return &pulumirpc.RunResponse{Error: err.Error()}, nil //nolint:nilerr // the engine is told, as the program's error
	}
	env, err := h.environment(r)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, program, r.GetArgs()...) //nolint:gosec // the program of Pulumi.yaml is what this is for
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = r.GetPwd(), env, h.stdout, h.stderr
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return &pulumirpc.RunResponse{}, nil
	case errors.As(err, &exit) && exit.ExitCode() == exitLogged:
		return &pulumirpc.RunResponse{Bail: true}, nil
	default:
		return &pulumirpc.RunResponse{Error: fmt.Sprintf("running the program: %v", err)}, nil
	}
}

// InstallDependencies has nothing to do: go build fetches what it needs.
func (*host) InstallDependencies(*pulumirpc.InstallDependenciesRequest, grpc.ServerStreamingServer[pulumirpc.InstallDependenciesResponse]) error {
	return nil
}

// RunPlugin builds a plugin whose source is in a folder, with a PulumiPlugin.yaml, and runs it until the engine is done with it.
func (h *host) RunPlugin(r *pulumirpc.RunPluginRequest, stream grpc.ServerStreamingServer[pulumirpc.RunPluginResponse]) error {
	program, err := h.program(stream.Context(), r.GetInfo())
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(stream.Context(), program, r.GetArgs()...) //nolint:gosec // as above
	cmd.Dir, cmd.Env = r.GetPwd(), r.GetEnv()
	var sending sync.Mutex
	send := func(answer *pulumirpc.RunPluginResponse) error {
		sending.Lock()
		defer sending.Unlock()
		return stream.Send(answer)
	}
	cmd.Stdout = printed(func(b []byte) error {
		return send(&pulumirpc.RunPluginResponse{Output: &pulumirpc.RunPluginResponse_Stdout{Stdout: b}})
	})
	cmd.Stderr = printed(func(b []byte) error {
		return send(&pulumirpc.RunPluginResponse{Output: &pulumirpc.RunPluginResponse_Stderr{Stderr: b}})
	})
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return fmt.Errorf("running the plugin %s: %w", r.GetName(), err)
	}
	return send(&pulumirpc.RunPluginResponse{Output: &pulumirpc.RunPluginResponse_Exitcode{Exitcode: int32(cmd.ProcessState.ExitCode())}}) //nolint:gosec // an exit code
}

// printed is a function that takes what a program prints.
type printed func([]byte) error

func (p printed) Write(b []byte) (int, error) { return len(b), p(slices.Clone(b)) }

// program is the one that Pulumi.yaml names as built already, or else the one
// that its source makes.
func (h *host) program(ctx context.Context, info *pulumirpc.ProgramInfo) (string, error) {
	if built := info.GetOptions().GetFields()["binary"].GetStringValue(); built != "" {
		if !filepath.IsAbs(built) {
			built = filepath.Join(info.GetRootDirectory(), built)
		}
		return built, nil
	}
	// One file per program: go build leaves one that is up to date alone, and the
	// linker takes ten seconds.
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding a folder for the built program: %w", err)
	}
	sum := sha256.Sum256([]byte(filepath.Join(info.GetProgramDirectory(), info.GetEntryPoint())))
	built := filepath.Join(cache, "emqx-oci", "langhost", hex.EncodeToString(sum[:6]))
	cmd := exec.CommandContext(ctx, "go", "build", "-o", built, info.GetEntryPoint()) //nolint:gosec // as above
	cmd.Dir, cmd.Stdout, cmd.Stderr = info.GetProgramDirectory(), h.stderr, h.stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("building the program in %s: %w", info.GetProgramDirectory(), err)
	}
	return built, nil
}

// environment is what pulumi.Run reads (getEnvInfo of the Go SDK).
func (h *host) environment(r *pulumirpc.RunRequest) ([]string, error) {
	config, err := json.Marshal(r.GetConfig())
	if err != nil {
		return nil, fmt.Errorf("passing the configuration on: %w", err)
	}
	secretKeys, err := json.Marshal(r.GetConfigSecretKeys())
	if err != nil {
		return nil, fmt.Errorf("passing the secret keys on: %w", err)
	}
	return append(os.Environ(),
		pulumi.EnvOrganization+"="+r.GetOrganization(),
		pulumi.EnvProject+"="+r.GetProject(),
		pulumi.EnvPulumiRootDirectory+"="+r.GetInfo().GetRootDirectory(),
		pulumi.EnvStack+"="+r.GetStack(),
		pulumi.EnvConfig+"="+string(config),
		pulumi.EnvConfigSecretKeys+"="+string(secretKeys),
		pulumi.EnvDryRun+"="+strconv.FormatBool(r.GetDryRun()),
		pulumi.EnvParallel+"="+strconv.Itoa(int(r.GetParallel())),
		pulumi.EnvMonitor+"="+r.GetMonitorAddress(),
		pulumi.EnvEngine+"="+h.engine,
	), nil
}
