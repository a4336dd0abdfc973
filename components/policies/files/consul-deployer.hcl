# Consul: who runs `emqx-oci up` and the other commands.

# What the stack says of itself, and which devices were revoked.
key_prefix "emqx/{{ .Environment }}/" {
  policy = "write"
}

# The list of members: an external node, and its one service.
node "emqx-{{ .Environment }}-members" {
  policy = "write"
}

service "emqx-cluster" {
  policy = "write"
}

# What gates ask for.
node_prefix "" {
  policy = "read"
}

service_prefix "" {
  policy = "read"
}
