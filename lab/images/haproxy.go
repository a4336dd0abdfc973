package images

import (
	"fmt"
	"os/exec"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// The official image's user.
const haproxyID = 99

// entrypoint takes what the official image's takes: options alone mean haproxy,
// which then runs in the foreground as master and worker.
const entrypoint = `#!/bin/sh
set -e
case "${1:-}" in
-* | "") set -- haproxy "$@" ;;
esac
if [ "$1" = haproxy ]; then
	shift
	set -- haproxy -W -db "$@"
fi
exec "$@"
`

// HAProxy builds an image from the haproxy that is installed on this machine, with
// the user, paths, entry point and stop signal of the official image.
func HAProxy() (v1.Image, error) {
	program, err := exec.LookPath("haproxy")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/haproxy"); err != nil {
			return nil, fmt.Errorf("building an HAProxy image: %w; install the package haproxy", err)
		}
	}
	t := tree{}
	if err := t.userland(); err != nil {
		return nil, fmt.Errorf("building an HAProxy image: %w", err)
	}
	if err := t.program("/usr/local/sbin/haproxy", program); err != nil {
		return nil, fmt.Errorf("building an HAProxy image: %w", err)
	}
	t.user("haproxy", haproxyID, "/var/lib/haproxy")
	t.add(entry{path: "/usr/local/etc/haproxy", mode: 0o755, dir: true})
	t.add(entry{path: "/usr/local/bin/docker-entrypoint.sh", mode: 0o755, data: []byte(entrypoint)})
	return t.image(v1.Config{
		User: "haproxy", WorkingDir: "/var/lib/haproxy", StopSignal: "SIGUSR1",
		Env:        []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
		Entrypoint: []string{"docker-entrypoint.sh"},
		Cmd:        []string{"haproxy", "-f", "/usr/local/etc/haproxy/haproxy.cfg"},
		Labels:     map[string]string{"emqx-oci.lab": "made from the machine's own haproxy"},
	})
}
