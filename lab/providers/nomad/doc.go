// Package nomad is the lab's provider `nomad`: jobs and variables on a real Nomad
// server, through its official API client.
//
// It does what the official plugin does, also where that is not what one would
// wish: `detach = false` reports a failed deployment with the deployment's own few
// words, an update of a job that somebody changed meanwhile is refused, a stopped
// job looks fine unless rerunIfDead is set. One difference is below the surface:
// the plugin carries Nomad's job parser in it, this one asks the server to parse,
// and checks by itself what a preview must catch without a server (syntax,
// variables that are not declared or not set).
package nomad
