module github.com/emqx-oci/emqx-oci

go 1.26.6

// The newest of the line: fixes in the standard library, which what is built links in. A
// machine that has another 1.26 and GOTOOLCHAIN=local builds with that.
toolchain go1.26.11

require (
	github.com/ProtonMail/go-crypto v1.5.2 // signatures of HashiCorp's lists of sums, in tools/prebuilt
	github.com/agext/levenshtein v1.2.3 // "did you mean": the distance of two names
	github.com/blang/semver v3.5.1+incompatible // the type of a version in the Automation API
	github.com/eclipse/paho.golang v0.23.0 // MQTT 5 client of gate G5
	github.com/go-jose/go-jose/v4 v4.1.6 // key sets of JSON Web Tokens, in the stand-in broker
	github.com/golang-jwt/jwt/v5 v5.3.1 // JSON Web Tokens of the stand-in broker
	github.com/google/go-cmp v0.7.0 // the broker's tests compare values with fields of their own
	github.com/google/go-containerregistry v0.20.7 // pulls and builds the images of the lab
	github.com/gorilla/websocket v1.5.3 // MQTT over WebSocket: the stand-in broker's listener, gate G5's client
	github.com/hashicorp/consul/api v1.33.0 // gate G3, and the lab behind the Consul provider
	github.com/hashicorp/hcl/v2 v2.22.0 // variables of a job file, as HCL2 reads them
	github.com/hashicorp/nomad/api v0.0.0-20260211190147-f876384fe3ab // gates G1 and G2, and the lab behind the Nomad provider
	github.com/johannesboyne/gofakes3 v1.2.0 // the tests' bucket for Pulumi's state
	github.com/miekg/dns v1.1.73 // the lab's name server, and who asks one as EMQX does
	github.com/mochi-mqtt/server/v2 v2.7.9 // MQTT engine of the stand-in broker
	github.com/oracle/oci-go-sdk/v65 v65.130.0 // the names and types of the lab's REST API, and who drives it in tests
	github.com/pires/go-proxyproto v0.8.1 // the stand-in broker's listeners behind HAProxy
	github.com/pulumi/pulumi-consul/sdk/v3 v3.11.3 // resources of components/consul
	github.com/pulumi/pulumi-oci/sdk/v3 v3.16.0 // resources of what lives in OCI: components/hosts/ocihosts, edge/nlb, names/ocidns
	github.com/pulumi/pulumi/sdk/v3 v3.276.0 // the program, the Automation API, the protocol of providers
	github.com/rhysd/actionlint v1.7.8 // the tests hold the workflows against what GitHub accepts
	github.com/santhosh-tekuri/jsonschema/v5 v5.3.1 // the tests hold the schema of stack files against them
	github.com/sergi/go-diff v1.4.0 // what changed in a job's text, line by line
	github.com/spf13/cobra v1.10.2 // verbs and flags of the CLI
	github.com/spf13/pflag v1.0.10 // which flags of the CLI were given
	github.com/things-go/go-socks5 v0.1.0 // the lab's door to its simulated internet
	github.com/vishvananda/netlink v1.3.1 // the lab's links, addresses and routes
	github.com/vishvananda/netns v0.0.5 // the lab's network namespaces
	github.com/zclconf/go-cty v1.13.2 // values of the variables of a job file
	golang.org/x/crypto v0.58.0 // ACME, by which certificates are renewed; password hashes of the stand-in broker
	golang.org/x/mod v0.41.0 // publishes this module as a proxy does, for the test of an importer
	golang.org/x/net v0.62.0 // SOCKS5 client of gate G5
	golang.org/x/sync v0.24.0 // limits what gate G1 and the lab do at once
	golang.org/x/sys v0.49.0 // mounts, loop devices and process descriptors of the lab
	golang.org/x/term v0.47.0 // is the output a terminal, and how wide
	google.golang.org/grpc v1.83.2 // serves the lab's providers to the engine
	google.golang.org/protobuf v1.36.11 // property values on the wire of the lab's providers
	gopkg.in/yaml.v3 v3.0.1 // stack files
	gotest.tools/v3 v3.5.2 // assertions of the tests
)

require (
	github.com/BurntSushi/toml v1.6.0 // indirect
	github.com/Microsoft/go-winio v0.6.2 // indirect
	github.com/aead/chacha20 v0.0.0-20180709150244-8b13a72661da // indirect
	github.com/apparentlymart/go-textseg/v13 v13.0.0 // indirect
	github.com/apparentlymart/go-textseg/v15 v15.0.0 // indirect
	github.com/armon/go-metrics v0.4.1 // indirect
	github.com/aymanbagabas/go-osc52/v2 v2.0.1 // indirect
	github.com/bmatcuk/doublestar/v4 v4.9.1 // indirect
	github.com/cenkalti/backoff/v5 v5.0.3 // indirect
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/charmbracelet/bubbles v1.0.0 // indirect
	github.com/charmbracelet/bubbletea v1.3.10 // indirect
	github.com/charmbracelet/colorprofile v0.4.2 // indirect
	github.com/charmbracelet/lipgloss v1.1.0 // indirect
	github.com/charmbracelet/x/ansi v0.11.6 // indirect
	github.com/charmbracelet/x/cellbuf v0.0.15 // indirect
	github.com/charmbracelet/x/term v0.2.2 // indirect
	github.com/clipperhouse/displaywidth v0.11.0 // indirect
	github.com/clipperhouse/uax29/v2 v2.7.0 // indirect
	github.com/cloudflare/circl v1.6.3 // indirect
	github.com/containerd/stargz-snapshotter/estargz v0.18.1 // indirect
	github.com/danieljoos/wincred v1.2.3 // indirect
	github.com/deckarep/golang-set/v2 v2.5.0 // indirect
	github.com/djherbis/times v1.5.0 // indirect
	github.com/docker/cli v29.0.3+incompatible // indirect
	github.com/docker/distribution v2.8.3+incompatible // indirect
	github.com/docker/docker-credential-helpers v0.9.3 // indirect
	github.com/ebitengine/purego v0.10.2 // indirect
	github.com/emirpasic/gods v1.18.1 // indirect
	github.com/erikgeiser/coninput v0.0.0-20211004153227-1c3628e74d0f // indirect
	github.com/fatih/color v1.18.0 // indirect
	github.com/fsnotify/fsnotify v1.6.0 // indirect
	github.com/go-git/gcfg/v2 v2.0.2 // indirect
	github.com/go-git/go-billy/v6 v6.0.0-beta.1 // indirect
	github.com/go-git/go-git/v6 v6.0.0-beta.1 // indirect
	github.com/go-logr/logr v1.4.4 // indirect
	github.com/go-logr/stdr v1.2.2 // indirect
	github.com/go-viper/mapstructure/v2 v2.4.0 // indirect
	github.com/godbus/dbus/v5 v5.2.2 // indirect
	github.com/gofrs/flock v0.10.0 // indirect
	github.com/gogo/protobuf v1.3.2 // indirect
	github.com/golang/glog v1.2.5 // indirect
	github.com/google/go-tpm v0.9.8 // indirect
	github.com/google/uuid v1.6.0 // indirect
	github.com/grpc-ecosystem/grpc-gateway/v2 v2.29.0 // indirect
	github.com/grpc-ecosystem/grpc-opentracing v0.0.0-20180507213350-8e809c8a8645 // indirect
	github.com/hashicorp/cronexpr v1.1.3 // indirect
	github.com/hashicorp/errwrap v1.1.0 // indirect
	github.com/hashicorp/go-cleanhttp v0.5.2 // indirect
	github.com/hashicorp/go-hclog v1.5.0 // indirect
	github.com/hashicorp/go-immutable-radix v1.3.1 // indirect
	github.com/hashicorp/go-multierror v1.1.1 // indirect
	github.com/hashicorp/go-rootcerts v1.0.2 // indirect
	github.com/hashicorp/go-version v1.8.0 // indirect
	github.com/hashicorp/golang-lru v0.5.4 // indirect
	github.com/hashicorp/serf v0.10.1 // indirect
	github.com/inconshreveable/mousetrap v1.1.0 // indirect
	github.com/iwdgo/sigintwindows v0.2.2 // indirect
	github.com/json-iterator/go v1.1.12 // indirect
	github.com/kevinburke/ssh_config v1.6.0 // indirect
	github.com/klauspost/compress v1.20.2 // indirect
	github.com/lucasb-eyer/go-colorful v1.3.0 // indirect
	github.com/mattn/go-colorable v0.1.14 // indirect
	github.com/mattn/go-isatty v0.0.20 // indirect
	github.com/mattn/go-localereader v0.0.1 // indirect
	github.com/mattn/go-runewidth v0.0.20 // indirect
	github.com/mattn/go-shellwords v1.0.12 // indirect
	github.com/mitchellh/go-homedir v1.1.0 // indirect
	github.com/mitchellh/go-ps v1.0.0 // indirect
	github.com/mitchellh/go-wordwrap v1.0.1 // indirect
	github.com/modern-go/concurrent v0.0.0-20180306012644-bacd9c7ef1dd // indirect
	github.com/modern-go/reflect2 v1.0.3-0.20250322232337-35a7c28c31ee // indirect
	github.com/muesli/ansi v0.0.0-20230316100256-276c6243b2f6 // indirect
	github.com/muesli/cancelreader v0.2.2 // indirect
	github.com/muesli/termenv v0.16.0 // indirect
	github.com/nxadm/tail v1.4.11 // indirect
	github.com/opencontainers/go-digest v1.0.0 // indirect
	github.com/opencontainers/image-spec v1.1.1 // indirect
	github.com/opentracing/basictracer-go v1.1.0 // indirect
	github.com/opentracing/opentracing-go v1.2.0 // indirect
	github.com/pgavlin/fx v0.1.6 // indirect
	github.com/pjbgf/sha1cd v0.7.0 // indirect
	github.com/pkg/errors v0.9.1 // indirect
	github.com/pkg/term v1.1.0 // indirect
	github.com/pulumi/appdash v0.0.0-20231130102222-75f619a67231 // indirect
	github.com/pulumi/pulumi-cloud-sdk/go v1.20261104.0 // indirect
	github.com/rivo/uniseg v0.4.7 // indirect
	github.com/robfig/cron/v3 v3.0.1 // indirect
	github.com/rogpeppe/go-internal v1.14.1 // indirect
	github.com/rs/xid v1.4.0 // indirect
	github.com/ryszard/goskiplist v0.0.0-20150312221310-2dfbae5fcf46 // indirect
	github.com/sirupsen/logrus v1.9.3 // indirect
	github.com/sony/gobreaker/v2 v2.4.0 // indirect
	github.com/spf13/cast v1.4.1 // indirect
	github.com/texttheater/golang-levenshtein v1.0.1 // indirect
	github.com/uber/jaeger-client-go v2.30.0+incompatible // indirect
	github.com/uber/jaeger-lib v2.4.1+incompatible // indirect
	github.com/vbatts/tar-split v0.12.2 // indirect
	github.com/xo/terminfo v0.0.0-20220910002029-abceb7e1c41e // indirect
	github.com/youmark/pkcs8 v0.0.0-20240726163527-a2c0da244d78 // indirect
	github.com/zalando/go-keyring v0.2.8 // indirect
	go.opentelemetry.io/auto/sdk v1.2.1 // indirect
	go.opentelemetry.io/collector/featuregate v1.53.0 // indirect
	go.opentelemetry.io/collector/pdata v1.53.0 // indirect
	go.opentelemetry.io/contrib/bridges/otelslog v0.20.0 // indirect
	go.opentelemetry.io/otel v1.45.0 // indirect
	go.opentelemetry.io/otel/bridge/opentracing v1.45.0 // indirect
	go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploggrpc v0.21.0 // indirect
	go.opentelemetry.io/otel/exporters/otlp/otlptrace v1.45.0 // indirect
	go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc v1.45.0 // indirect
	go.opentelemetry.io/otel/log v0.21.0 // indirect
	go.opentelemetry.io/otel/metric v1.45.0 // indirect
	go.opentelemetry.io/otel/sdk v1.45.0 // indirect
	go.opentelemetry.io/otel/sdk/log v0.21.0 // indirect
	go.opentelemetry.io/otel/trace v1.45.0 // indirect
	go.opentelemetry.io/proto/otlp v1.11.0 // indirect
	go.shabbyrobe.org/gocovmerge v0.0.0-20230507111327-fa4f82cfbf4d // indirect
	go.uber.org/atomic v1.11.0 // indirect
	go.uber.org/multierr v1.11.0 // indirect
	go.yaml.in/yaml/v4 v4.0.0-rc.2 // indirect
	golang.org/x/exp v0.0.0-20260410095643-746e56fc9e2f // indirect
	golang.org/x/text v0.43.0 // indirect
	golang.org/x/tools v0.51.0 // indirect
	google.golang.org/genproto/googleapis/api v0.0.0-20260803160001-6ac0973c030d // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20260803160001-6ac0973c030d // indirect
	gopkg.in/tomb.v1 v1.0.0-20141024135613-dd632973f1e7 // indirect
	lukechampine.com/frand v1.4.2 // indirect
)
