# Nomad: who runs `emqx-oci preview` and changes nothing, such as the pipeline of a pull request. It reads no secret, so
# refreshing the state (`preview --refresh`, `refresh`) needs the deployer's; nor does it run commands in tasks, so it does
# not see what somebody has changed in EMQX.

namespace "{{ .Namespace }}" {
  capabilities = ["parse-job", "plan-job", "read-job", "list-jobs"]
}

host_volume "emqx*" {
  policy = "write"
}

node {
  policy = "read"
}
