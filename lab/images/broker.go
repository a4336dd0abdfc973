package images

import (
	"fmt"
	"os/exec"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// brokerID is the user of the official EMQX image.
const brokerID = 1000

// Broker builds an image around the stand-in broker: a static program that takes
// the place of /opt/emqx/bin/emqx, with the user and folders of the official image.
func Broker(binary string) (v1.Image, error) {
	t := tree{}
	if err := t.userland(); err != nil {
		return nil, fmt.Errorf("building the stand-in broker's image: %w", err)
	}
	if err := t.program("/opt/emqx/bin/emqx", binary); err != nil {
		return nil, fmt.Errorf("building the stand-in broker's image: %w", err)
	}
	openssl, err := exec.LookPath("openssl") // the official image has it with Debian's ca-certificates
	if err != nil {
		return nil, fmt.Errorf("building the stand-in broker's image: %w; install the package openssl", err)
	}
	if err := t.program("/usr/bin/openssl", openssl); err != nil {
		return nil, fmt.Errorf("building the stand-in broker's image: %w", err)
	}
	t.user("emqx", brokerID, "/opt/emqx")
	for _, d := range []string{"data", "etc", "log"} {
		t.add(entry{path: "/opt/emqx/" + d, mode: 0o755, uid: brokerID, dir: true})
	}
	t.add(entry{path: "/usr/bin/emqx", link: "/opt/emqx/bin/emqx", mode: 0o777})
	return t.image(v1.Config{
		User: "1000", WorkingDir: "/opt/emqx",
		Env:    []string{"PATH=/opt/emqx/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/opt/emqx"},
		Cmd:    []string{"/opt/emqx/bin/emqx", "foreground"},
		Labels: map[string]string{"emqx-oci.lab": "a stand-in for EMQX, not EMQX"},
	})
}
