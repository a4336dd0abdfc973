# Consul: EMQX's job, by its workload identity. Nomad registers its services and their checks; the task reads the size of
# the cluster.

{{ range .EMQXServices -}}
service "{{ . }}" {
  policy = "write"
}

{{ end -}}
key "emqx/{{ .Environment }}/size" {
  policy = "read"
}

# Nomad's agent asks for what it has registered.
node_prefix "" {
  policy = "read"
}

service_prefix "" {
  policy = "read"
}
