# Consul: the proxies' job, by its workload identity. Nomad registers its service; the task reads which devices were
# revoked.

service "{{ .ProxyService }}" {
  policy = "write"
}

key "emqx/{{ .Environment }}/revoked-devices" {
  policy = "read"
}

node_prefix "" {
  policy = "read"
}

service_prefix "" {
  policy = "read"
}
