// Package langhost is a small Pulumi language host for this tree's Go program,
// so that tests can run the ordinary `pulumi` command on it where Pulumi's own
// host, pulumi-language-go, is not installed. That one ships with Pulumi and is
// no module, so it cannot be built from source here.
//
// It is a test tool and nothing else: it builds a program, runs it as the Go SDK
// expects to be run, and answers the questions that `preview`, `up`, `refresh`,
// `destroy` and `about` ask. It also runs a plugin from its source. It makes no
// new projects, converts no programs and generates no SDKs. People deploy with the host that ships with Pulumi.
package langhost
