// Package broker is the stand-in for EMQX 5.8.9 that the lab runs where the real
// image cannot be pulled. It is not EMQX and says so at start.
//
// It owns what a deployment can get wrong: the EMQX_ environment variables and
// the HOCON in them, the listeners with PROXY protocol and TLS, discovery by DNS, asked
// as EMQX asks and believed as EMQX believes,
// joining with the cookie over the distribution port, which member may start
// first after a full stop, which side of a partition restarts, what is on disk under
// the node name, who may connect and do what, the REST paths,
// the Prometheus numbers and the ctl commands that gates and operators read.
// Where a real EMQX 5.8.9 was measured, this one does the same,
// including the parts that hurt: a lasting split, a silent wait, a swallowed
// health check.
//
// MQTT itself is github.com/mochi-mqtt/server. The package knows nothing of
// Nomad, Consul, OCI or the lab: environment, disk, DNS and sockets are its world.
//
// Who may connect is said by the chain of authenticators: the built-in database, JSON Web
// Tokens and a server that is asked over HTTP; by bans, and by the names of certificates.
// Who may do what: by files of rules in EMQX's own syntax, by the rules of the built-in
// database, and by those that came with a token or a server's answer. All of it is set by
// the environment, base.hocon, emqx.conf and the API, is the same on all members, and lies
// on the data volume. Each of these names the module of EMQX 5.8.9 that it follows. What CONNECT,
// SUBSCRIBE and PUBLISH are answered, and the API's answers to what is wrong, were measured on the
// real one, on one node (the tests AsMeasured). Missing of it: LDAP, SCRAM and the databases,
// authorization over HTTP, chains of a listener's own, client attributes, users whose name is a number,
// and the counts of hits.
//
// Known to be otherwise, as MQTT here is another's: PUBACK and PUBREC of MQTT 5 do not say that nobody
// subscribes (0x10); identifiers and user names that are no UTF-8, or hold a zero, are refused, which the real one
// takes unless it is strict; a packet that cannot be read, or is too large, ends a connection of MQTT 5
// without the DISCONNECT (0x81, 0x90, 0x95, 0x9B) that the real one sends; a Receive Maximum of 0 is taken.
//
// Not done, on purpose: the rule engine, bridges, gateways, QUIC, durable sessions (the open
// source cluster has none), replicants, the dashboard's pages, node to node TLS. A
// member of a cluster that joins another one does so; on the real one that may fail
// ("Bad cookie in table definition") and end the node's discovery. A partition that
// the databases would find at a start is none here.
//
// Messages are counted as on EMQX. A publication is acknowledged when it is in every
// session of its node and on its way to the other nodes; no acknowledgement comes from
// there (rpc.mode is async). It goes to those that are known to have a subscriber; of a
// new one, and of a session that has moved, the others learn when the word comes to them.
// What is on its way to a session's old node then is lost, unless sessions wait, as the
// job has them. A session moves with its subscriptions, its messages in
// their order and under their identifiers, and the QoS 2 publications that the client
// has not released; a pending delayed will does not move. A client with a small Receive
// Maximum may get more than that at once when its session resumes, and messages of QoS
// 0 are not kept for clients that are away. Shared groups that span nodes learn of a new
// subscriber on another node within about 100 ms.
package broker
