package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp"
)

// sumsHead opens the file that -update writes.
const sumsHead = `# SHA-256 of the vendors' release archives, as sha256sum writes it. An archive that is not here is
# not taken, and its program built from source. make prebuilt-sums writes this file, from the lists
# that the vendors have signed.
`

// update writes the sums of the releases' archives to file, once every list that they are
// from has its vendor's signature; else the file stays as it is.
func (f fetcher) update(ctx context.Context, releases []release, file string) error {
	text := sumsHead
	var faults []error
	for _, r := range releases {
		lines, err := f.published(ctx, r)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s %s: %w", r.program, r.version, err))
		}
		text += lines
	}
	if len(faults) > 0 {
		return fmt.Errorf("%s stays as it is: %w", file, errors.Join(faults...))
	}
	return os.WriteFile(file, []byte(text), 0o644)
}

// published are a release's lines for all pinned platforms.
func (f fetcher) published(ctx context.Context, r release) (string, error) {
	v := vendors[r.program]
	var list, signature bytes.Buffer
	if err := f.copyTo(ctx, &list, r, v.sums(r.version)); err != nil {
		return "", err
	}
	if err := f.copyTo(ctx, &signature, r, v.signature(r.version)); err != nil {
		return "", err
	}
	if err := v.verify(ctx, list.Bytes(), signature.Bytes()); err != nil {
		return "", fmt.Errorf("REFUSED: %s: %w", v.sums(r.version), err)
	}
	sums, err := parseSums(v.sums(r.version), list.String())
	if err != nil {
		return "", err
	}
	var text strings.Builder
	for _, p := range pinned {
		name := v.archive(r.version, p)
		if sums[name] == "" {
			return "", fmt.Errorf("%s must have a sum for %s, got none", v.sums(r.version), name)
		}
		fmt.Fprintf(&text, "%s  %s\n", sums[name], name)
	}
	return text.String(), nil
}

// hashicorpKey is HashiCorp's release key, C874 011F 0AB4 0511 0D02 1055 3436 5D94 72D7 468F,
// as hashicorp.com/security has it.
//
//go:embed hashicorp.asc
var hashicorpKey string

func verifyHashiCorp(_ context.Context, sums, signature []byte) error {
	return verifyOpenPGP(hashicorpKey, sums, signature)
}

func verifyOpenPGP(key string, sums, signature []byte) error {
	ring, err := openpgp.ReadArmoredKeyRing(strings.NewReader(key))
	if err != nil {
		return fmt.Errorf("reading the vendor's key: %w", err)
	}
	if _, err := openpgp.CheckDetachedSignature(ring, bytes.NewReader(sums), bytes.NewReader(signature), nil); err != nil {
		return fmt.Errorf("its signature must be of the vendor's key: %w", err)
	}
	return nil
}

// verifyPulumi asks cosign: Pulumi signs with what a workflow of its repository is to Sigstore,
// and has no key.
func verifyPulumi(ctx context.Context, sums, signature []byte) error {
	cosign, err := exec.LookPath("cosign")
	if err != nil {
		return fmt.Errorf("signatures of Pulumi are checked by cosign, which must be on PATH: %w", err)
	}
	dir, err := os.MkdirTemp("", "prebuilt-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	list, bundle := filepath.Join(dir, "sums"), filepath.Join(dir, "bundle")
	if err := errors.Join(os.WriteFile(list, sums, 0o600), os.WriteFile(bundle, signature, 0o600)); err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, cosign, "verify-blob", "--bundle", bundle,
		"--certificate-oidc-issuer", "https://token.actions.githubusercontent.com",
		"--certificate-identity-regexp", `^https://github\.com/pulumi/pulumi/\.github/workflows/`, list).CombinedOutput()
	if err != nil {
		return fmt.Errorf("its signature must be of a workflow of pulumi/pulumi: %w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}
