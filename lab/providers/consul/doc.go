// Package consul is the lab's provider `consul`: keys, key prefixes, and nodes and
// services of the catalog on a real Consul server, through its official API
// client, with the official plugin's inputs and habits.
package consul
