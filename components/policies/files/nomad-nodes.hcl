# Nomad: the boot script of a node. It asks for the node's introduction to the servers, tells its progress in the node's
# metadata, and has Nomad forget the instance that was there before. Nomad has no right to some nodes only.

node {
  policy = "write"
}
