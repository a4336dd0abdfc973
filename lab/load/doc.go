// Package load is a workload that keeps count: clients that publish numbered messages, clients that account for every one
// of them, and a report of what was lost, repeated, late or out of order, and how long clients were away.
//
// It is a client and nothing else: it knows addresses and certificates, and of the brokers only what a client can see.
// Its clients do what real ones do: they come back with exponential back-off and full jitter, keep their session, and
// send again what nobody acknowledged.
//
// What a message's fate is called:
//
//   - sent: written to a connection at least once; acknowledged: PUBACK came (PUBCOMP with QoS 2). A message counts as
//     promised once it is acknowledged, with QoS 0 once it is sent.
//   - lost: promised, and a subscriber that had its session all the time between sending and acknowledgement never got
//     it.
//   - lost with session: the same, but acknowledged in the last second before the subscriber's session died: the message
//     was accepted, and its copy for this subscriber died in the memory of the broker that had the session.
//   - missed while away: promised, and never received by a subscriber that had, for a part of that time, no session:
//     its connection broke and the broker that it came back to knew nothing of its session. Such a time begins when
//     the client last heard of the old broker: a proxy may keep a connection for seconds after the broker has died.
package load
