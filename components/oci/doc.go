// Package oci holds what the implementations that live in Oracle Cloud have in common: the provider, the network that a
// stack is given, and the search for what an interrupted run has left behind. Their components are in
// components/hosts/ocihosts, components/edge/nlb and components/names/ocidns.
package oci
