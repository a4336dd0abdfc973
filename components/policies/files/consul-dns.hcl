# Consul: whoever asks a node's agent without a token, by DNS above all, as `defaultToken` of the same secret. Without both
# rights every answer to HAProxy and EMQX is NXDOMAIN, as if there were no broker.

node_prefix "" {
  policy = "read"
}

service_prefix "" {
  policy = "read"
}
