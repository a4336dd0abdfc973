// Package registrations shows what a Pulumi program hands the engine, whoever
// runs it: a monitor that stands in the engine's place and keeps every request,
// and a stand-in of the pulumi command that leads the Automation API's program
// to it. Tests of both entries compare what they get with [Direct].
//
// It is not components/recorder, which replaces the SDK's client and so sees a
// program only from within: here the program may be another process.
package registrations
