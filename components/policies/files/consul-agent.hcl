# Consul: the agent of a node, as `agentToken` of the secret that `consul.agentSecret` names. It writes the node's own entry
# and takes the node out when its instance ends. Nomad's agent on the node knows Consul by it, and deregisters with it what
# it has registered for the jobs by their identities, which have ended by then.

node_prefix "emqx-{{ .Environment }}-" {
  policy = "write"
}

agent_prefix "emqx-{{ .Environment }}-" {
  policy = "write"
}

{{ range .EMQXServices -}}
service "{{ . }}" {
  policy = "write"
}

{{ end -}}
service "{{ .ProxyService }}" {
  policy = "write"
}

node_prefix "" {
  policy = "read"
}

service_prefix "" {
  policy = "read"
}
