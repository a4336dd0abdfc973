// Package rest serves the lab's cloud as OCI does: REST over HTTP, with the paths,
// names and types of OCI's own Go SDK, so that any client of OCI can be pointed at it.
// Changes are asynchronous where OCI's are, by lifecycle states or work requests.
//
// It translates and decides nothing: what is refused, how long a change takes and
// what it leads to is the cloud's. Properties there have the provider's names
// (sizeInGbs), here the API's (sizeInGBs); shape.go has the rule between both. The
// tables of resources and look-ups hold what the stack uses, and no more.
package rest
