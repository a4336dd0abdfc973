// Package guards says what may not happen to a cluster by accident: its data
// deleted, its nodes replaced all at once, its dashboard opened to the internet.
//
// A guard compares the cluster's layout, as the stack's state recorded it at the
// last update, with the one that the settings ask for now ([Compare]), or looks
// at the settings alone ([Static]). One that fires fails preview and update
// before anything is touched, and names the setting that would let it pass.
//
// The rules are pure: no cloud, no engine. The program asks them in a hook on
// the component that records the layout (see components/layout.go); the package knows
// Pulumi only as far as that record and the [Collector] go.
package guards
