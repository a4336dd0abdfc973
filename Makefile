# `make up` and `make test` do all their own set-up on a fresh Debian machine.
# Everything that is built lands in .tools (pinned programs) and bin (ours).

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

TOOLS := $(CURDIR)/.tools/bin
BIN := $(CURDIR)/bin
export PATH := $(TOOLS):$(BIN):$(PATH)
export CGO_ENABLED ?= 0
export GOFLAGS ?= -buildvcs=false
# No build here has -trimpath: what two of them have in common is compiled once, and what the tests have, too.
# The checksum database has no entry for some nested modules of the tools; the
# committed go.sum files verify them.
export GONOSUMDB := github.com/hashicorp/*,github.com/pulumi/*

NOMAD_VERSION := 1.11.3
CONSUL_VERSION := 1.22.6
PULUMI_VERSION := 3.276.0

# Programs of the distribution that the lab runs, and their packages.
PACKAGES := docker.io haproxy iproute2 nftables e2fsprogs mosquitto-clients jq curl dnsmasq-base shellcheck ca-certificates util-linux systemd
STACK ?= lab

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

.PHONY: packages
packages: # the distribution's programs, only when one is missing
	@missing=(); for p in $(PACKAGES); do \
	  dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q 'install ok installed' || missing+=($$p); done; \
	if [ $${#missing[@]} -gt 0 ]; then \
	  [ "$$(id -u)" = 0 ] || { echo "these packages are missing, and installing them needs root: $${missing[*]}" >&2; exit 1; }; \
	  echo "installing $${missing[*]}"; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $${missing[*]} >/dev/null; fi

.PHONY: tools
tools: $(TOOLS)/nomad $(TOOLS)/consul $(TOOLS)/pulumi ## get nomad, consul and pulumi, only when missing

# A cache gives back old files, and make would build them anew. Its key must have named the pins.
.PHONY: restored
restored: # take the tools that a cache has given back as they are
	touch -c -h $(TOOLS)/*

.PHONY: pulumi
pulumi: $(TOOLS)/pulumi # all that a deployment outside the lab needs beside emqx-oci

# $(call have,PROGRAM,VERSION COMMAND,VERSION): link the program on PATH when its version fits. sed reads to the end: a
# program that nobody reads any more would fail the pipe.
have = p=$$(PATH=$${PATH\#$(TOOLS):} command -v $(1) || true); \
  v=$$([ -z "$$p" ] || $$p $(2) 2>/dev/null | sed -n 1p || true); \
  if [[ "$$v" == *"v$(3)" ]]; then mkdir -p $(TOOLS); ln -sf $$p $(TOOLS)/$(1); echo "using $$p"; else

# $(call take,PROGRAM,VERSION): out of the vendor's release archive; fails where that cannot be reached or has no sum in
# tools/prebuilt/SHA256SUMS. EMQX_OCI_RELEASES is a mirror of the archives, or "none" to build in any case.
take = go run ./tools/prebuilt -to $(TOOLS) $(1)=$(2)

$(TOOLS)/nomad: tools/nomad/go.mod
	@$(call have,nomad,version,$(NOMAD_VERSION)) $(call take,nomad,$(NOMAD_VERSION)) || { \
	echo "building nomad $(NOMAD_VERSION) (some minutes, once)"; \
	cd tools/nomad && go build -ldflags '-s -w' -o $@ github.com/hashicorp/nomad; }; fi; touch -h $@

$(TOOLS)/consul: tools/consul/go.mod
	@$(call have,consul,version,$(CONSUL_VERSION)) $(call take,consul,$(CONSUL_VERSION)) || { \
	echo "building consul $(CONSUL_VERSION) (some minutes, once)"; \
	cd tools/consul && go build -ldflags '-s -w' -o $@ github.com/hashicorp/consul; }; fi; touch -h $@

$(TOOLS)/pulumi: tools/pulumi/go.mod
	@$(call have,pulumi,version,$(PULUMI_VERSION)) $(call take,pulumi,$(PULUMI_VERSION)) || { \
	echo "building pulumi $(PULUMI_VERSION) (some minutes, once)"; \
	cd tools/pulumi && go build \
	  -ldflags '-s -w -X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v$(PULUMI_VERSION)' \
	  -o $@ github.com/pulumi/pulumi/pkg/v3/cmd/pulumi; }; fi; touch -h $@

.PHONY: prebuilt-sums
prebuilt-sums: ## look up the sums of the vendors' release archives, which must be signed (Pulumi's need cosign)
	go run ./tools/prebuilt -update tools/prebuilt/SHA256SUMS \
	  nomad=$(NOMAD_VERSION) consul=$(CONSUL_VERSION) pulumi=$(PULUMI_VERSION)

# Pulumi's archive has it beside pulumi.
$(TOOLS)/pulumi-language-yaml: tools/pulumi/go.mod
	@echo "building pulumi-language-yaml"
	@cd tools/pulumi && go build -ldflags '-s -w' -o $@ github.com/pulumi/pulumi-yaml/cmd/pulumi-language-yaml

$(TOOLS)/pebble: tools/pebble/go.mod
	@echo "building pebble, a certificate authority"
	@cd tools/pebble && go build -ldflags '-s -w' -o $@ github.com/letsencrypt/pebble/v2/cmd/pebble

$(TOOLS)/golangci-lint: tools/lint/go.mod
	@echo "building golangci-lint (some minutes, once)"
	@cd tools/lint && go build -trimpath -ldflags '-s -w' -o $@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

# The tag, or how far from one; nothing where git does not answer (no repository, or another user's).
VERSION = $(shell git describe --tags --match 'v[0-9]*' --always --dirty 2>/dev/null)

.PHONY: build
build: ## build bin/emqx-oci, the lab beside it, the provider of the component, and what the lab puts into its instances
	@mkdir -p $(BIN)
	go build -ldflags '-s -w' -o $(BIN)/lab-guest ./lab/guest/cmd/lab-guest
	go build -ldflags '-s -w' -o $(BIN)/emqx ./lab/broker/cmd/emqx
	go build -ldflags '-s -w -X github.com/emqx-oci/emqx-oci/cmd/internal/console.version=$(VERSION)' -o $(BIN)/emqx-oci-lab ./cmd/emqx-oci-lab
	go build -ldflags '-s -w -X github.com/emqx-oci/emqx-oci/cmd/internal/console.version=$(VERSION)' -o $(BIN)/emqx-oci ./cmd/emqx-oci
	go build -ldflags '-s -w' -o $(BIN)/pulumi-resource-emqx ./provider

# Two tools at a time: one core links for long while the other has nothing to do.
.PHONY: setup
setup: packages
	$(MAKE) --jobs=2 tools
	$(MAKE) build

.PHONY: up
up: setup ## deploy on the lab: ends with an MQTT message through the public name
	$(BIN)/emqx-oci lab up
	$(BIN)/emqx-oci up $(STACK) --yes

.PHONY: down
down: ## remove the lab and everything that it made
	$(BIN)/emqx-oci lab down

.PHONY: unit
unit: ## the tests that need no root and no network
	go test ./...

.PHONY: e2e
# Most wait more than they work, and each has its own ports. The stories have a lab each, and as many play side by side as
# the machine has cores: a lab waits two thirds of its time. Chapters that measure play alone.
e2e: export EMQX_OCI_BIN := $(BIN)
e2e: export EMQX_OCI_TOOLS := $(TOOLS)
e2e: $(TOOLS)/pulumi-language-yaml $(TOOLS)/pebble ## the tests that need root: real Nomad, Consul, Docker, HAProxy on the lab
	failed=0; \
	go test -tags lab -p 3 -timeout 30m $$(go list ./... | grep -v /lab/e2e$$) || failed=1; \
	go test -tags lab -timeout 60m ./lab/e2e || failed=1; \
	exit $$failed

.PHONY: test
# What moves clients is one line of Erlang, tried in the real one; EMQX brings its own.
test: PACKAGES += erlang-base
test: setup ## set up and run every test, the end-to-end suite included
	go vet ./... && go vet -tags lab ./...
	$(MAKE) sdk-check
	$(MAKE) e2e

.PHONY: fmt
fmt: $(TOOLS)/golangci-lint ## format the code
	golangci-lint fmt ./...

# Not tools/nomad: tests of its dependencies import packages that are no more, and tidy wants them.
modules = find . -name go.mod -not -path '*/.*/*' -not -path './tools/nomad/*' -printf '%h\n' | sort

.PHONY: tidy
tidy: ## bring every go.mod and go.sum in order
	@for m in $$($(modules)); do echo "go mod tidy: $$m"; (cd $$m && go mod tidy); done

.PHONY: tidy-check
tidy-check: # fails when tidy would change something
	@failed=0; for m in $$($(modules)); do \
	  (cd $$m && go mod tidy -diff) || { echo "$$m/go.mod or its go.sum is not tidy: run make tidy" >&2; failed=1; }; done; exit $$failed

# What a release holds compiles for its other machines, too: of several programs go build links none. What is for one kind
# of processor alone shows on Linux, what is for one system alone on one processor.
.PHONY: cross-check
cross-check: # fails when a program of a release does not compile for a machine that it is released for
	GOOS=linux GOARCH=arm64 go build ./cmd/emqx-oci ./cmd/emqx-oci-lab ./provider ./lab/guest/cmd/lab-guest ./lab/broker/cmd/emqx
	GOOS=darwin GOARCH=arm64 go build ./cmd/emqx-oci ./provider

.PHONY: lint
lint: $(TOOLS)/golangci-lint $(TOOLS)/goreleaser tidy-check cross-check ## run the linters
	golangci-lint run ./...
	golangci-lint run --build-tags lab,bench,drill ./...
	# The boot script is whole only with its header: a test checks that one.
	find . -name '*.sh' -not -path './.tools/*' -not -path './components/hosts/ocihosts/files/*' -print0 | xargs -0 -r shellcheck
	goreleaser check

.PHONY: race
race: PACKAGES += erlang-base gcc libc6-dev
race: setup ## all tests but the end-to-end suite under the race detector, which needs a C compiler
	CGO_ENABLED=1 go test -race -tags lab -p 1 -timeout 30m $$(go list ./... | grep -v /lab/e2e$$)

# How long each is fuzzed, and how long an input that is new may be made smaller.
FUZZTIME ?= 5m

.PHONY: fuzz
fuzz: ## fuzz each reader of what comes from outside, for FUZZTIME each
	@grep -rE --include='*_test.go' --exclude-dir='.*' '^func Fuzz[A-Za-z0-9]+\(' * | sed -E 's/^(.*)\/[^/]+:func (Fuzz[A-Za-z0-9]+)\(.*/\1 \2/' | sort | \
	while read -r dir name; do echo "$$dir: $$name"; \
	  go test ./$$dir -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 5s </dev/null || exit 1; done

$(TOOLS)/govulncheck: tools/vuln/go.mod
	@cd tools/vuln && go build -ldflags '-s -w' -o $@ golang.org/x/vuln/cmd/govulncheck

# Go's database of known vulnerabilities; where it cannot be reached, that of the day which tools/vuln/go.mod names.
VULNDB ?= https://vuln.go.dev

# The programs as a release has them, of its Go: what is not linked into one concerns nobody. They keep their symbols, or
# every function of a module would count.
.PHONY: vuln
vuln: export GOTOOLCHAIN := $(shell sed -n 's/^toolchain //p' go.mod)
vuln: $(TOOLS)/govulncheck ## fails when a program has a vulnerability that is known
	@dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; db=$(VULNDB); \
	if ! curl -fsS --max-time 20 -o /dev/null $$db/index/db.json; then \
	  echo "vuln: $$db cannot be reached: the snapshot of $$(sed -nE 's/.*vulndb v0\.0\.0-([0-9]{8}).*/\1/p' tools/vuln/go.mod)"; \
	  (cd tools/vuln && go mod download golang.org/x/vulndb && \
	    go run golang.org/x/vulndb/cmd/indexdb -vulns "$$(go list -m -f '{{.Dir}}' golang.org/x/vulndb)/data/osv" -out "$$dir/db"); \
	  db=file://$$dir/db; fi; \
	failed=0; for p in ./cmd/emqx-oci ./cmd/emqx-oci-lab ./provider ./lab/guest/cmd/lab-guest ./lab/broker/cmd/emqx; do \
	  go build -o "$$dir/program" $$p; echo "vuln: $$p"; \
	  govulncheck -db "$$db" -mode binary "$$dir/program" || failed=1; done; exit $$failed

.PHONY: verify
verify: test race lint vuln ## what has to be green before a change is merged

$(TOOLS)/goreleaser: tools/release/go.mod
	@echo "building goreleaser (some minutes, once)"
	@cd tools/release && go build -trimpath -ldflags '-s -w' -o $@ github.com/goreleaser/goreleaser/v2

$(TOOLS)/cyclonedx-gomod: tools/release/go.mod
	@cd tools/release && go build -trimpath -ldflags '-s -w' -o $@ github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod

.PHONY: release
release: $(TOOLS)/goreleaser $(TOOLS)/cyclonedx-gomod ## publish the tag that is checked out, with its section of CHANGELOG.md
	@tag=$$(git describe --tags --exact-match --match 'v[0-9]*'); version=$${tag#v}; \
	notes=$$(mktemp); trap 'rm -f $$notes' EXIT; \
	awk -v head="## [$$version]" '/^## /{on = index($$0, head) == 1; next} on && !/^\[.*\]: /' CHANGELOG.md > $$notes; \
	grep -q '[^[:space:]]' $$notes || { echo "release: CHANGELOG.md must have a section [$$version] that says something" >&2; exit 1; }; \
	goreleaser release --clean --release-notes $$notes

.PHONY: snapshot
snapshot: $(TOOLS)/goreleaser $(TOOLS)/cyclonedx-gomod ## make a release's files in dist/ and publish nothing
	goreleaser release --snapshot --clean

.PHONY: sdk
sdk: ## generate sdks/nomad from its schema
	cd tools/pulumi && go run ./gen-nomad-sdk $(CURDIR)/sdks/nomad/schema.json $(CURDIR)/sdks/nomad

.PHONY: sdk-check
sdk-check: # generating again must give what stands in the tree
	@d=$$(mktemp -d); trap 'rm -rf $$d' EXIT; \
	(cd tools/pulumi && go run ./gen-nomad-sdk $(CURDIR)/sdks/nomad/schema.json $$d) && \
	diff -r -x schema.json $$d sdks/nomad && echo "sdks/nomad is what its schema says"

.PHONY: checks
checks: ## generate docs/checks.md from the table of checks
	go test ./components/preflight -run '^TestPage$$' -update

.PHONY: settings
settings: ## generate docs/settings.md, the component's arguments, and the schemas of stack files and of the component's package
	go run ./components/settings/gen

.PHONY: graph
graph: ## draw docs/graph.svg from the real stack
	go run ./stacks/draw/cmd/draw > docs/graph.svg

# DRILL takes more flags: make drill DRILL='-run kill -runs 5'. A page of all cases is written only without it.
DRILL ?=
drill_program = go build -o $(BIN)/drill ./lab/drill/cmd/drill && $(BIN)/drill -bin $(BIN) -tools $(TOOLS) $(if $(DRILL),,-page docs/availability.md)

.PHONY: drill
drill: setup ## break and change a lab under load: prints and writes the table of docs/availability.md
	$(drill_program) $(DRILL)

# IMAGE is an archive of `docker save emqx/emqx:5.8.9 emqx/emqx:5.8.8`: the names between which it rolls.
.PHONY: drill-real
drill-real: setup ## the same with a real EMQX instead of the lab's: make drill-real IMAGE=emqx.tar
	@[ -n "$(IMAGE)" ] || { echo "drill-real: IMAGE must name an archive of docker save with emqx/emqx:5.8.9 and emqx/emqx:5.8.8" >&2; exit 2; }
	$(drill_program) -image $(IMAGE) $(DRILL)

.PHONY: drill-original
drill-original: setup ## the same faults with the settings of the setup that this one replaces
	$(drill_program) -original $(DRILL)

# Again with the same points: EMQX_OCI_SEED=N, as the test prints it. EMQX_OCI_POINTS is how many, 20 unless told.
.PHONY: interrupted
interrupted: setup ## kill updates, scale-ins and destroys at 20 points, and see the next run finish
	EMQX_OCI_BIN=$(BIN) EMQX_OCI_TOOLS=$(TOOLS) go test -tags 'lab drill' -p 1 -count 1 -timeout 90m -v \
	  -run '^(TestInterrupted|TestWhatADeadEngineMadeIsFound|TestRefused)$$' ./lab/e2e

.PHONY: bench
bench: setup ## measure, and print the tables of docs/performance.md
	EMQX_OCI_BIN=$(BIN) EMQX_OCI_TOOLS=$(TOOLS) go test -tags 'lab bench' -p 1 -timeout 60m -run '^TestBench' -v ./components/proxy/haproxy ./lab/e2e/...
