# Nomad: who runs `emqx-oci up`, `destroy`, `status`, `verify`, `backup`, `device` and the others.

namespace "{{ .Namespace }}" {
  # Jobs are parsed, planned, registered and purged; deployments and allocations are read; members are asked by commands
  # inside their tasks. Nomad cannot bind this to the jobs of one cluster: a namespace of its own does.
  capabilities = ["submit-job", "read-job", "list-jobs", "alloc-exec", "read-logs"]

  # Both jobs' secrets, and below them a certificate that is renewed.
  variables {
    path "nomad/jobs/emqx-{{ .Environment }}" {
      capabilities = ["read", "write", "destroy"]
    }

    path "nomad/jobs/emqx-{{ .Environment }}/*" {
      capabilities = ["read", "write", "destroy"]
    }

    path "nomad/jobs/{{ .ProxyJob }}" {
      capabilities = ["read", "write", "destroy"]
    }

    path "nomad/jobs/{{ .ProxyJob }}/*" {
      capabilities = ["read", "write", "destroy"]
    }
  }
}

# The brokers' data.
host_volume "emqx*" {
  policy = "write"
}

# Nodes are drained before they are relaunched, and forgotten when they are gone. Nomad has no right to some nodes only.
node {
  policy = "write"
}
