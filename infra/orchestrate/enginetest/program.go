package enginetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/config"

	"github.com/emqx-oci/emqx-oci/infra/gates"
)

// Spec is what the test program deploys. It is read from a file at every run, so that a test can change it for a
// program that lives in another process.
type Spec struct {
	Things []ThingSpec `json:"things"`
	// Fail ends the program with this message, after the things are registered.
	Fail string `json:"fail,omitempty"`
	// Print goes to the log.
	Print string `json:"print,omitempty"`
}

// ThingSpec is one thing.
type ThingSpec struct {
	Name  string   `json:"name"`
	Text  string   `json:"text,omitempty"`
	Zone  string   `json:"zone,omitempty"`
	Size  int      `json:"size,omitempty"`
	After []string `json:"after,omitempty"`
	// Protect keeps the thing from being deleted.
	Protect bool `json:"protect,omitempty"`
	// Gate is a file that must exist before the thing is created or updated.
	Gate string `json:"gate,omitempty"`
	// GateTimeout in seconds; 60 by default.
	GateTimeout int `json:"gateTimeout,omitempty"`
}

// Write puts the spec into a file.
func (s Spec) Write(path string) error {
	b, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("writing the spec: %w", err)
	}
	return os.WriteFile(path, b, 0o600)
}

// Program is a program that deploys what the file says, with one secret from the stack's configuration
// (<project>:secrets.token) as an output.
func Program(specFile string) pulumi.RunFunc {
	return func(ctx *pulumi.Context) error {
		b, err := os.ReadFile(specFile)
		if err != nil {
			return fmt.Errorf("reading the spec: %w", err)
		}
		var s Spec
		if err := json.Unmarshal(b, &s); err != nil {
			return fmt.Errorf("reading the spec: %w", err)
		}
		if s.Print != "" {
			if err := ctx.Log.Info(s.Print, nil); err != nil {
				return err
			}
		}
		things := map[string]*Thing{}
		for _, t := range s.Things {
			in := pulumi.Map{"name": pulumi.String(t.Name), "text": pulumi.String(t.Text)}
			if t.Zone != "" {
				in["zone"] = pulumi.String(t.Zone)
			}
			if t.Size != 0 {
				in["size"] = pulumi.Int(t.Size)
			}
			var opts []pulumi.ResourceOption
			for _, a := range t.After {
				opts = append(opts, pulumi.DependsOn([]pulumi.Resource{things[a]}))
			}
			if t.Protect {
				opts = append(opts, pulumi.Protect(true))
			}
			if t.Gate != "" {
				hook, err := gates.Hook(ctx, t.Name, fileGate(t))
				if err != nil {
					return err
				}
				opts = append(opts, hook)
			}
			thing, err := NewThing(ctx, t.Name, in, opts...)
			if err != nil {
				return err
			}
			things[t.Name] = thing
			ctx.Export(t.Name, thing.Text)
		}
		var secrets struct {
			Token string `json:"token"`
		}
		if err := config.New(ctx, "").TryObject("secrets", &secrets); err == nil {
			ctx.Export("token", pulumi.ToSecret(pulumi.String(secrets.Token)))
		}
		if s.Fail != "" {
			return errors.New(s.Fail)
		}
		return nil
	}
}

func fileGate(t ThingSpec) gates.Gate {
	timeout := t.GateTimeout
	if timeout == 0 {
		timeout = 60
	}
	return gates.Gate{
		ID: "G1", Title: "file ready", Timeout: time.Duration(timeout) * time.Second, Interval: 100 * time.Millisecond,
		Next: "look at the folder",
		Check: func(context.Context) (gates.Status, error) {
			s := gates.Status{Holds: true, Seen: "1/1 files"}
			if _, err := os.Stat(t.Gate); err != nil {
				s = gates.Status{Seen: "0/1 files: " + t.Gate[strings.LastIndex(t.Gate, "/")+1:] + " is missing"}
			}
			return s, nil
		},
	}
}

// Thing is a resource of the test cloud.
type Thing struct {
	pulumi.CustomResourceState

	Text pulumi.StringOutput `pulumi:"text"`
}

// NewThing registers one.
func NewThing(ctx *pulumi.Context, name string, in pulumi.Map, opts ...pulumi.ResourceOption) (*Thing, error) {
	t := &Thing{}
	if err := ctx.RegisterResource(Token, name, in, t, opts...); err != nil {
		return nil, err
	}
	return t, nil
}
