// Package images gets the container images of the lab: pulled where a registry
// answers, otherwise built on the spot, without a container engine, from programs
// of this machine. Instances load the archives; no instance ever pulls.
//
// The package knows image names and files, nothing of the lab around it.
package images
