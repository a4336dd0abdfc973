// Package guest is what runs inside an instance of the lab: it builds the
// instance's root from a Spec, becomes the machine's systemd as its PID 1, keeps
// its console, runs the user data as cloud-init does, and is the oci command.
//
// The package imports the standard library and golang.org/x/sys only: its binary
// is started for every `oci` call of every instance. It knows nothing of the
// lab's cloud: user data, metadata and the oci command come through the
// instance's own metadata address and socket.
package guest
