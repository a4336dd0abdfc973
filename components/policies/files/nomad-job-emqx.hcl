# Nomad: EMQX's job, by its workload identity. A node that stops asks how many the job is to have, and leaves the cluster
# only when it is none of them.

namespace "{{ .Namespace }}" {
  capabilities = ["read-job-scaling"]
}
