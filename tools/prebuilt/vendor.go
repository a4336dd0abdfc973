package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// platform is an operating system and a processor, as Go names them.
type platform struct{ os, arch string }

// pinned are those whose archives -update looks up.
var pinned = []platform{{"linux", "amd64"}, {"linux", "arm64"}}

// vendor is how a program is published. The functions get its version, "1.11.3".
type vendor struct {
	// base is the folder of a version's files.
	base func(version string) string
	// archive is the file for a platform.
	archive func(version string, p platform) string
	// member is the program's path inside of it.
	member string
	// sums is the list of all archives' SHA-256, and signature the file that signs it.
	sums, signature func(version string) string
	// verify says whether the signature is the vendor's.
	verify func(ctx context.Context, sums, signature []byte) error
}

var vendors = map[string]vendor{
	"nomad":  hashicorp("nomad"),
	"consul": hashicorp("consul"),
	"pulumi": {
		base: func(version string) string { return "https://github.com/pulumi/pulumi/releases/download/v" + version },
		archive: func(version string, p platform) string {
			return fmt.Sprintf("pulumi-v%s-%s-%s.tar.gz", version, p.os, strings.Replace(p.arch, "amd64", "x64", 1))
		},
		member:    "pulumi/pulumi",
		sums:      func(version string) string { return "pulumi-" + version + "-checksums.txt" },
		signature: func(version string) string { return "pulumi-" + version + "-checksums.txt.sig" },
		verify:    verifyPulumi,
	},
}

func hashicorp(program string) vendor {
	return vendor{
		base: func(version string) string {
			return fmt.Sprintf("https://releases.hashicorp.com/%s/%s", program, version)
		},
		archive: func(version string, p platform) string {
			return fmt.Sprintf("%s_%s_%s_%s.zip", program, version, p.os, p.arch)
		},
		member:    program,
		sums:      func(version string) string { return fmt.Sprintf("%s_%s_SHA256SUMS", program, version) },
		signature: func(version string) string { return fmt.Sprintf("%s_%s_SHA256SUMS.sig", program, version) },
		verify:    verifyHashiCorp,
	}
}

func programs() string {
	return strings.Join(slices.Sorted(maps.Keys(vendors)), ", ")
}
