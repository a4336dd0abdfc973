package broker

// GarbagePercent is how much garbage the stand-in's process may gather before it is
// collected (debug.SetGCPercent): less than half of Go's own, so that a connection takes
// about what EMQX's takes, for a little more work.
const GarbagePercent = 40
