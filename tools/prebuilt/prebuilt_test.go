package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"gotest.tools/v3/assert"
)

var here = platform{"linux", "amd64"}

func sumOf(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// saying is a program that prints one line.
func saying(line string) string { return "#!/bin/sh\necho '" + line + "'\n" }

func zipOf(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for name, text := range files {
		f, err := w.Create(name)
		assert.NilError(t, err)
		_, err = io.WriteString(f, text)
		assert.NilError(t, err)
	}
	assert.NilError(t, w.Close())
	return b.Bytes()
}

func tarOf(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	zipped := gzip.NewWriter(&b)
	w := tar.NewWriter(zipped)
	for name, text := range files {
		assert.NilError(t, w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(text))}))
		_, err := io.WriteString(w, text)
		assert.NilError(t, err)
	}
	assert.NilError(t, w.Close())
	assert.NilError(t, zipped.Close())
	return b.Bytes()
}

// serving is a fetcher from a server on loopback that has these files, and what it was asked for.
func serving(t *testing.T, files map[string][]byte) (f fetcher, asked func() []string) {
	t.Helper()
	var paths []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		paths = append(paths, r.URL.Path)
		content, ok := files[strings.TrimPrefix(r.URL.Path, "/mirror/")]
		if !ok {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(content)
	}))
	t.Cleanup(server.Close)
	return fetcher{base: server.URL + "/mirror", client: newClient(), answer: answerTimeout, stall: stallTimeout},
		func() []string { return paths }
}

func namesIn(t *testing.T, folder string) []string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	assert.NilError(t, err)
	names := []string{}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestAnArchiveWithItsSumIsTaken(t *testing.T) {
	archives := map[release][]byte{
		{"nomad", "1.11.3"}:   zipOf(t, map[string]string{"LICENSE.txt": "text", "nomad": saying("Nomad v1.11.3")}),
		{"consul", "1.22.6"}:  zipOf(t, map[string]string{"consul": saying("Consul v1.22.6")}),
		{"pulumi", "3.276.0"}: tarOf(t, map[string]string{"pulumi/pulumi-language-go": "x", "pulumi/pulumi": saying("v3.276.0")}),
	}
	names := map[string]string{
		"nomad": "nomad_1.11.3_linux_amd64.zip", "consul": "consul_1.22.6_linux_amd64.zip", "pulumi": "pulumi-v3.276.0-linux-x64.tar.gz",
	}
	for r, archive := range archives {
		name := names[r.program]
		f, asked := serving(t, map[string][]byte{name: archive})
		folder := filepath.Join(t.TempDir(), "bin")
		assert.NilError(t, f.install(t.Context(), r, here, map[string]string{name: sumOf(archive)}, folder))
		assert.DeepEqual(t, asked(), []string{"/mirror/" + name})
		assert.DeepEqual(t, namesIn(t, folder), []string{r.program})
		info, err := os.Stat(filepath.Join(folder, r.program))
		assert.NilError(t, err)
		assert.Equal(t, info.Mode().Perm()&0o111, os.FileMode(0o111))
	}
}

func TestWhatIsNotAsPublishedLeavesNothing(t *testing.T) {
	const name = "nomad_1.11.3_linux_amd64.zip"
	good := zipOf(t, map[string]string{"nomad": saying("Nomad v1.11.3")})
	for what, c := range map[string]struct {
		archive []byte
		sum     string // of archive unless told
		want    string
	}{
		"another archive": {
			archive: good, sum: strings.Repeat("0", 64),
			want: "REFUSED: " + name + " is not what its vendor published: its SHA-256 must be " + strings.Repeat("0", 64) + ", got " + sumOf(good),
		},
		"a page of a network that wants a login": {archive: []byte("<html>"), sum: sumOf(good), want: "REFUSED: " + name},
		"no archive":                             {archive: []byte("<html>"), want: "unpacking " + name + ": zip: not a valid zip file"},
		"no program in it":                       {archive: zipOf(t, map[string]string{"other": "x"}), want: "unpacking " + name + ": open nomad: file does not exist"},
		"a folder for a program":                 {archive: zipOf(t, map[string]string{"nomad/x": "x"}), want: "unpacking " + name},
		"another version":                        {archive: zipOf(t, map[string]string{"nomad": saying("Nomad v1.11.30")}), want: `its version must be v1.11.3, it says "Nomad v1.11.30"`},
		"a program for another machine":          {archive: zipOf(t, map[string]string{"nomad": "\x7fELF?"}), want: "it does not run here: "},
		"nothing":                                {sum: sumOf(good), want: "must answer 200, got 404 Not Found"},
	} {
		files := map[string][]byte{}
		if c.archive != nil {
			files[name] = c.archive
		}
		if c.sum == "" {
			c.sum = sumOf(c.archive)
		}
		f, _ := serving(t, files)
		folder := t.TempDir()
		assert.NilError(t, os.WriteFile(filepath.Join(folder, "nomad"), []byte("older"), 0o600))
		err := f.install(t.Context(), release{"nomad", "1.11.3"}, here, map[string]string{name: c.sum}, folder)
		assert.ErrorContains(t, err, c.want, what)
		assert.DeepEqual(t, namesIn(t, folder), []string{"nomad"})
		text, err := os.ReadFile(filepath.Join(folder, "nomad"))
		assert.NilError(t, err)
		assert.Equal(t, string(text), "older", what)
	}
}

func TestTarWithoutTheProgram(t *testing.T) {
	const name = "pulumi-v3.276.0-linux-arm64.tar.gz"
	archive := tarOf(t, map[string]string{"pulumi/other": "x"})
	f, _ := serving(t, map[string][]byte{name: archive})
	err := f.install(t.Context(), release{"pulumi", "3.276.0"}, platform{"linux", "arm64"}, map[string]string{name: sumOf(archive)}, t.TempDir())
	assert.ErrorContains(t, err, "unpacking "+name+": it has no file pulumi/pulumi")
}

func TestWithoutASumNobodyIsAsked(t *testing.T) {
	f, asked := serving(t, map[string][]byte{"nomad_1.11.3_linux_riscv64.zip": []byte("x")})
	err := f.install(t.Context(), release{"nomad", "1.11.3"}, platform{"linux", "riscv64"}, map[string]string{}, t.TempDir())
	assert.ErrorContains(t, err, "nomad_1.11.3_linux_riscv64.zip has no sum in tools/prebuilt/SHA256SUMS")
	assert.Equal(t, len(asked()), 0)
}

// A machine without a way out builds at once.
func TestUnreachableServersAreGivenUp(t *testing.T) {
	const name = "nomad_1.11.3_linux_amd64.zip"
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	assert.NilError(t, err)
	defer listener.Close() // accepts in the kernel, and answers nothing
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	assert.NilError(t, err)
	assert.NilError(t, closed.Close())
	half := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	defer half.Close()
	for base, want := range map[string]string{
		"http://" + closed.Addr().String():   "connection refused",
		"http://" + listener.Addr().String(): "no answer in 200ms",
		half.URL:                             "no answer in 200ms",
	} {
		f := fetcher{base: base, client: newClient(), answer: 200 * time.Millisecond, stall: 200 * time.Millisecond}
		began, folder := time.Now(), t.TempDir()
		err := f.install(t.Context(), release{"nomad", "1.11.3"}, here, map[string]string{name: strings.Repeat("0", 64)}, folder)
		assert.ErrorContains(t, err, want)
		assert.Assert(t, time.Since(began) < 5*time.Second, "%s took %v", base, time.Since(began))
		assert.Equal(t, len(namesIn(t, folder)), 0)
	}
	assert.Assert(t, dialTimeout <= 2*time.Second && answerTimeout <= 6*time.Second, "two servers are tried, one after the other")
}

func TestCommand(t *testing.T) {
	for args, want := range map[string]string{
		"":                                   "prebuilt [-to FOLDER",
		"nomad=1.11.3":                       "-to and -update: give one of them",
		"-to x -update y nomad=1.11.3":       "-to and -update: give one of them",
		"-to x nomad":                        "nomad: must name a version: nomad=1.2.3",
		"-to x vault=1 nomad=":               "vault=1: must be one of consul, nomad, pulumi\nnomad=: must name a version",
		"-to x nomad=1.11.3 consul=1.22.6":   `EMQX_OCI_RELEASES is "none": no release archive is taken`,
		"-update x nomad=1.11.3 pulumi=3.27": `EMQX_OCI_RELEASES is "none"`,
	} {
		err := run(t.Context(), strings.Fields(args), noBase, io.Discard)
		assert.ErrorContains(t, err, want, args)
	}
	f, asked := serving(t, nil) // of both what is missing is told
	err := run(t.Context(), []string{"-to", t.TempDir(), "pulumi=0.0.0", "nomad=0.0.0"}, f.base, io.Discard)
	assert.ErrorContains(t, err, "pulumi 0.0.0: ")
	assert.ErrorContains(t, err, "nomad 0.0.0: ")
	assert.Equal(t, len(asked()), 0)
}

func TestSums(t *testing.T) {
	one, two := strings.Repeat("1", 64), strings.Repeat("2", 64)
	sums, err := parseSums("f", "# why\n\n"+one+"  a.zip\n"+two+" *b.zip\n")
	assert.NilError(t, err)
	assert.DeepEqual(t, sums, map[string]string{"a.zip": one, "b.zip": two})
	_, err = parseSums("f", "x  a.zip\n"+one+"  a.zip\n"+two+"  a.zip\n"+one[1:]+"  c.zip\n")
	assert.Error(t, err, `f:1: must be a SHA-256 in hexadecimal, two spaces and a file's name, got "x  a.zip"`+"\n"+
		`f:3: must give one sum for a.zip, got a second one`+"\n"+
		`f:4: must be a SHA-256 in hexadecimal, two spaces and a file's name, got "`+one[1:]+`  c.zip"`)
}

// An archive of another version is taken by nobody: the machine would build for minutes and
// say nothing but that there is no sum.
func TestCommittedSumsAreOfTheVersionsInUse(t *testing.T) {
	sums, err := parseSums("SHA256SUMS", committed)
	assert.NilError(t, err)
	makefile, err := os.ReadFile("../../Makefile")
	assert.NilError(t, err)
	used := map[string]bool{}
	for program := range vendors {
		m := regexp.MustCompile(`(?m)^` + strings.ToUpper(program) + `_VERSION := (\S+)$`).FindSubmatch(makefile)
		assert.Assert(t, m != nil, "the Makefile has no version of %s", program)
		for _, p := range pinned {
			used[vendors[program].archive(string(m[1]), p)] = true
		}
	}
	for name := range sums {
		assert.Assert(t, used[name], "SHA256SUMS has %s, which nobody takes: make prebuilt-sums", name)
	}
	for _, name := range []string{"nomad", "consul"} {
		assert.Assert(t, strings.Contains(committed, name+"_"), "SHA256SUMS has nothing of %s", name)
	}
}

// signer is a key and its public half, armored.
func signer(t *testing.T) (*openpgp.Entity, string) {
	t.Helper()
	key, err := openpgp.NewEntity("vendor", "", "vendor@example.com", &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA})
	assert.NilError(t, err)
	var public bytes.Buffer
	w, err := armor.Encode(&public, openpgp.PublicKeyType, nil)
	assert.NilError(t, err)
	assert.NilError(t, key.Serialize(w))
	assert.NilError(t, w.Close())
	return key, public.String()
}

func signed(t *testing.T, key *openpgp.Entity, text string) []byte {
	t.Helper()
	var signature bytes.Buffer
	assert.NilError(t, openpgp.DetachSign(&signature, key, strings.NewReader(text), nil))
	return signature.Bytes()
}

func TestUpdateWritesOnlyWhatIsSigned(t *testing.T) {
	key, public := signer(t)
	stranger, _ := signer(t)
	defer func(real string) { hashicorpKey = real }(hashicorpKey)
	hashicorpKey = public
	amd, arm := strings.Repeat("a", 64), strings.Repeat("b", 64)
	list := func(names ...string) string {
		text := strings.Repeat("c", 64) + "  other.zip\n"
		for i, name := range names {
			text += []string{amd, arm}[i] + "  " + name + "\n"
		}
		return text
	}
	nomad := list("nomad_1.11.3_linux_amd64.zip", "nomad_1.11.3_linux_arm64.zip")
	pulumi := list("pulumi-v3.276.0-linux-x64.tar.gz", "pulumi-v3.276.0-linux-arm64.tar.gz")
	for what, c := range map[string]struct {
		nomad, signature string
		cosign           string // an exit code; "" without the program
		want             string
	}{
		"all signed":    {nomad, string(signed(t, key, nomad)), "0", ""},
		"changed since": {nomad, string(signed(t, key, nomad+"\n")), "0", "nomad 1.11.3: REFUSED: nomad_1.11.3_SHA256SUMS: its signature must be of the vendor's key"},
		"by a stranger": {nomad, string(signed(t, stranger, nomad)), "0", "its signature must be of the vendor's key"},
		"not at all":    {nomad, "", "0", "its signature must be of the vendor's key"},
		"too short": {
			list("nomad_1.11.3_linux_amd64.zip"), string(signed(t, key, list("nomad_1.11.3_linux_amd64.zip"))), "0",
			"nomad_1.11.3_SHA256SUMS must have a sum for nomad_1.11.3_linux_arm64.zip, got none",
		},
		"pulumi refused": {nomad, string(signed(t, key, nomad)), "1", "pulumi 3.276.0: REFUSED: pulumi-3.276.0-checksums.txt: its signature must be of a workflow of pulumi/pulumi"},
		"no cosign":      {nomad, string(signed(t, key, nomad)), "", "signatures of Pulumi are checked by cosign, which must be on PATH"},
	} {
		f, _ := serving(t, map[string][]byte{
			"nomad_1.11.3_SHA256SUMS": []byte(c.nomad), "nomad_1.11.3_SHA256SUMS.sig": []byte(c.signature),
			"pulumi-3.276.0-checksums.txt": []byte(pulumi), "pulumi-3.276.0-checksums.txt.sig": []byte("bundle"),
		})
		dir := t.TempDir()
		t.Setenv("PATH", dir)
		if c.cosign != "" {
			assert.NilError(t, os.WriteFile(filepath.Join(dir, "cosign"), fmt.Appendf(nil, "#!/bin/sh\necho \"$*\" > %s/asked\nexit %s\n", dir, c.cosign), 0o700))
		}
		file := filepath.Join(dir, "SHA256SUMS")
		assert.NilError(t, os.WriteFile(file, []byte("before"), 0o600))
		err := f.update(t.Context(), []release{{"nomad", "1.11.3"}, {"pulumi", "3.276.0"}}, file)
		got, readErr := os.ReadFile(file)
		assert.NilError(t, readErr)
		if c.want != "" {
			assert.ErrorContains(t, err, c.want, what)
			assert.Equal(t, string(got), "before", what)
			continue
		}
		assert.NilError(t, err)
		assert.Equal(t, string(got), sumsHead+amd+"  nomad_1.11.3_linux_amd64.zip\n"+arm+"  nomad_1.11.3_linux_arm64.zip\n"+
			amd+"  pulumi-v3.276.0-linux-x64.tar.gz\n"+arm+"  pulumi-v3.276.0-linux-arm64.tar.gz\n")
		asked, err := os.ReadFile(filepath.Join(dir, "asked"))
		assert.NilError(t, err)
		assert.Assert(t, strings.HasPrefix(string(asked), "verify-blob --bundle "), "%s", asked)
		assert.Assert(t, strings.Contains(string(asked), "--certificate-oidc-issuer https://token.actions.githubusercontent.com "), "%s", asked)
	}
}

func TestHashiCorpsKeyIsTheirs(t *testing.T) {
	ring, err := openpgp.ReadArmoredKeyRing(strings.NewReader(hashicorpKey))
	assert.NilError(t, err)
	assert.Equal(t, len(ring), 1)
	assert.Equal(t, hex.EncodeToString(ring[0].PrimaryKey.Fingerprint), "c874011f0ab405110d02105534365d9472d7468f")
	_, signs := ring[0].SigningKey(time.Now())
	assert.Assert(t, signs, "the key has expired: hashicorp.com/security has the next one")
}
