// Package faults breaks the lab as a cloud breaks: processes, instances, domains,
// networks, servers, disks and the API. It owns the table of faults, what is
// active and how each is undone. How a thing is broken is the lab's knowledge: this
// package speaks to it through the interface Lab and runs in the lab's daemon;
// commands and tests reach it through an Injector.
package faults
