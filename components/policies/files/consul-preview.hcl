# Consul: who runs `emqx-oci preview` and changes nothing.

key_prefix "emqx/{{ .Environment }}/" {
  policy = "read"
}

node_prefix "" {
  policy = "read"
}

service_prefix "" {
  policy = "read"
}
