package cloud

import (
	"context"
	"time"
)

// Op is what is done to a resource.
type Op string

// The operations that take time.
const (
	OpCreate Op = "create"
	OpUpdate Op = "update"
	OpDelete Op = "delete"
)

// Pseudo tokens for what is no resource of a program but takes the cloud's time.
const (
	LaunchInstance    = "instance launch"   // until the control plane says RUNNING
	TerminateInstance = "instance end"      // until TERMINATED
	BootInstance      = "instance boot"     // from RUNNING until cloud-init reads its user data
	AttachVolume      = "volume attachment" // until ATTACHED, and the same back
	AssignAddress     = "address assignment"
	CopyVolume        = "volume backup" // until AVAILABLE
)

// Latency is how long the real cloud takes, by operation. The zero value takes
// no time at all.
type Latency struct {
	Scale float64
}

// LatencyOCI makes operations take as long as in the real cloud times scale:
// 1 is real time, 0.05 a twentieth of it.
func LatencyOCI(scale float64) Latency { return Latency{Scale: scale} }

// timing of one kind of resource, in seconds of real time.
type timing struct{ create, update, remove float64 }

// realTimings are seconds on the real cloud. "log" names a public log that shows
// the number; the rest are assumptions, from the order of magnitude that users
// of the Terraform provider report. They matter to each other (which chain is
// the longest), not to the second.
var realTimings = map[string]timing{
	// Assumption: PROVISIONING lasts about ten seconds, whatever the size; the
	// provider polls. Growing online takes as long.
	typeVolume: {11, 11, 5},
	// Assumption: one call, no work request.
	typeBackupAssignment: {1, 1, 1},
	// Assumption: one call. Same for everything of the virtual network; a subnet or
	// VCN takes 2 s in the log of turbot/steampipe-plugin-oci#224.
	typePrivateIP: {2, 2, 2},
	typeGroup:     {2, 2, 2},
	typeRule:      {1, 1, 1},
	// Assumption: one call.
	typeConfiguration: {1, 1, 1},
	// Assumption: what a pool adds to its instances' launch (its own state is polled).
	typePool: {15, 10, 15},
	// Assumption: 60 to 90 s until a flexible VM of a pool is RUNNING.
	LaunchInstance: {75, 0, 0},
	// Assumption: shutdown plus removal of the boot volume.
	TerminateInstance: {0, 0, 60},
	// Assumption: firmware, kernel and network until cloud-init's user-data stage.
	BootInstance: {60, 0, 0},
	// Assumption: paravirtualized attach; the CLI polls.
	AttachVolume: {15, 0, 10},
	// Assumption: one call.
	AssignAddress: {3, 0, 0},
	// Assumption: a first backup of little data; a full one of 150 GB takes many minutes.
	CopyVolume: {60, 0, 0},
	// Log: 21 s for an empty balancer (turbot/steampipe-plugin-oci#224); busy regions
	// and public addresses take minutes, so the middle is taken.
	typeBalancer: {60, 15, 45},
	// Assumption: each child is a work request of 10 to 15 s, during which the
	// balancer is UPDATING (terraform-provider-oci#1456 shows that state; #1593 shows
	// several of them waiting in a row for minutes).
	typeBackendSet: {12, 12, 12},
	typeBackend:    {12, 12, 12},
	typeListener:   {12, 12, 12},
	// Assumption: as the network load balancer's and its parts, but that changes of one balancer
	// may be asked for at once.
	typeFlexBalancer: {60, 30, 45},
	typeFlexSet:      {12, 12, 12},
	typeFlexBackend:  {12, 12, 12},
	typeFlexListener: {12, 12, 12},
	typeCertificate:  {12, 12, 12},
	typeCipherSuite:  {12, 12, 12},
	// Assumption: the record set is accepted at once and served seconds later.
	typeRrset: {4, 4, 4},
}

// Of is the time that an operation takes; 0 for what the table does not hold.
func (l Latency) Of(token string, op Op) time.Duration {
	t := realTimings[resourceOf(token)]
	seconds := map[Op]float64{OpCreate: t.create, OpUpdate: t.update, OpDelete: t.remove}[op]
	return time.Duration(seconds * l.Scale * float64(time.Second))
}

// Clock is time as the cloud sees it; tests bring their own.
type Clock interface {
	Now() time.Time
	// Sleep waits for d or until ctx ends, and then returns its error.
	Sleep(ctx context.Context, d time.Duration) error
}

type wallClock struct{}

func (wallClock) Now() time.Time { return time.Now() }

func (wallClock) Sleep(ctx context.Context, d time.Duration) error { return Sleep(ctx, d) }

// Sleep waits for d or until ctx ends, and then returns its error.
func Sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
