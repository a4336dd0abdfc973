// Package operate is what is done to a running cluster between two updates: look
// at it, move clients, take its data out and put it back.
//
// It talks to Nomad and Consul with the addresses and tokens of the stack's
// settings, never of its outputs or its state, so it works while another run holds
// the stack, and when the state's backend is away. It reaches EMQX through Nomad's
// exec alone: no login, no route to the nodes. It changes no resource of the stack.
//
// It must not know: settings (stacks hands it plain values), the engine, the
// command line, the lab.
package operate
