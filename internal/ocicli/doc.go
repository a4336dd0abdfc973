// Package ocicli knows what the command `oci` accepts: the commands that this project
// runs or names in its documents, with their options, the choices of each, and the
// exit codes of what it refuses by itself. It asks no cloud.
//
// The facts are in commands.json, read from the sources of oracle/oci-cli at the tag of
// its "version" (services/core/src/oci_cli_*/generated and *_cli_extended.py, and
// src/oci_cli/cli_root.py and cli_util.py). They are facts of one version: before 3.86.0
// `volume-attachment detach --wait-for-state` took ATTACHING to DETACHED, since then it
// takes the states of a work request. Another version of [Version] means to read its
// sources again.
//
// The lab's `oci` refuses by it, the boot script and the documents are checked against it.
package ocicli
