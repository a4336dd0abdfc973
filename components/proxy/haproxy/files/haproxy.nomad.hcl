# HAProxy in front of one EMQX cluster: one allocation per node. It owns the client
# ports of its node and the admin port; EMQX has others.

variable "environment" {
  type        = string
  description = "Name of the stack: tag of every service, part of the job's name."
}

variable "region" {
  type        = string
  description = "Nomad region."
}

variable "namespace" {
  type        = string
  description = "Nomad namespace."
}

variable "datacenter" {
  type        = string
  description = "Nomad datacenter."
}

variable "node_count" {
  type        = number
  description = "Nodes of the cluster; each gets one HAProxy."
}

variable "image" {
  type        = string
  description = "Container image of HAProxy, 2.6 or newer."
}

variable "cpu" {
  type        = number
  description = "CPU reserved for one HAProxy, in MHz."
}

variable "memory" {
  type        = number
  description = "Memory limit of one HAProxy, in MB; about 33 kB for each of maxconn, 125 kB where it ends TLS."
}

variable "tls" {
  type        = bool
  description = "Whether there is a certificate."
}

variable "tls_outside" {
  type        = bool
  description = "Whether the certificate is in the variable of the job's group, which somebody else writes; else among the secrets."
}

variable "tls_at_proxy" {
  type        = bool
  description = "Whether HAProxy ends TLS and leads to EMQX's plain listeners; else it passes through."
}

variable "tls_at_edge" {
  type        = bool
  description = "Whether TLS has been ended before HAProxy, which then leads to EMQX's plain listeners."
}

variable "announced_from" {
  type        = string
  description = "Range from which a header of PROXY protocol v2 says who the client is; empty: none."
}

variable "announced" {
  type        = string
  description = "Listeners that are come to in that way, with a space between two."
}

variable "tls_profile" {
  type        = string
  description = "Mozilla's configuration of the TLS that HAProxy ends: intermediate or modern."
}

variable "tls_clients" {
  type        = string
  description = "Whether clients show a certificate: none, optional or required."
}

variable "tls_revoked" {
  type        = bool
  description = "Whether the secrets hold lists of revoked client certificates."
}

variable "tls_devices" {
  type        = bool
  description = "Whether Consul has a list of devices whose certificates were revoked."
}

variable "tls_tickets" {
  type        = bool
  description = "Whether the secrets hold keys of session tickets."
}

variable "ports" {
  type        = map(number)
  description = "Static ports of each node: admin, and of mqtt, mqtts, ws and wss those that clients have."
}

variable "broker_ports" {
  type        = map(number)
  description = "Where EMQX listens on every node, by listener; while it moves, the secrets name the new ports already."
}

variable "limits" {
  type        = map(number)
  description = "Client connections that one HAProxy accepts, by listener; 0 is no limit but maxconn."
}

variable "rates" {
  type        = map(number)
  description = "New client connections a second of one HAProxy, by listener; 0 is no limit."
}

variable "maxconn" {
  type        = number
  description = "Client connections that one HAProxy accepts, over all protocols."
}

variable "headroom" {
  type        = number
  description = "Connections beyond them, which clients cannot have: health checks, monitoring."
}

variable "per_source" {
  type        = number
  description = "Client connections that one HAProxy accepts from one address; 0 is no limit."
}

variable "per_source_rate" {
  type        = number
  description = "Connections that one address may begin in 10 s at one HAProxy; 0 is no limit."
}

variable "connect_timeout" {
  type        = string
  description = "How long a client has for its handshake, and then for its CONNECT."
}

variable "nofile" {
  type        = number
  description = "Open files of one HAProxy; one connection takes two."
}

variable "keepalive_max" {
  type        = number
  description = "Largest MQTT keep-alive that the path supports, in seconds."
}

variable "consul_identity" {
  type        = bool
  description = "Whether services and templates log in to Consul by this job's identity; else they have no token."
}

variable "config" {
  type        = string
  description = "HAProxy's configuration, as a consul-template."
}

variable "run" {
  type        = string
  description = "The script that runs HAProxy, reloads it and takes part in its stop."
}

variable "shutdown_delay" {
  type        = string
  description = "Seconds that HAProxy still accepts clients while its health page already fails: \"40s\"."

  validation {
    condition     = regex_replace(var.shutdown_delay, "^[0-9]+s$", "") == ""
    error_message = "The shutdown_delay must be whole seconds, such as 40s."
  }
}

variable "kill_timeout" {
  type        = string
  description = "Seconds between the stop signal and the kill, 10 or more above shutdown_delay: \"60s\"."

  validation {
    condition     = regex_replace(var.kill_timeout, "^[0-9]+s$", "") == ""
    error_message = "The kill_timeout must be whole seconds, such as 60s."
  }
}

variable "min_healthy_time" {
  type        = string
  description = "Time an allocation passes its check before it counts as healthy."
}

variable "healthy_deadline" {
  type        = string
  description = "Time within which an allocation must become healthy."
}

variable "progress_deadline" {
  type        = string
  description = "Time within which the next allocation must become healthy; above healthy_deadline."
}

locals {
  # What Consul's auth method knows the job by, its audience and life Nomad's own defaults.
  identities = var.consul_identity ? { consul_default = "1h" } : {}

  listeners = [for name, port in var.ports : name if name != "admin"]

  grace = parseint(trimsuffix(var.shutdown_delay, "s"), 10)

  # Time for the clients that are left once the ports are closed: what the kill
  # leaves, but for the time HAProxy takes to end.
  hard_stop = parseint(trimsuffix(var.kill_timeout, "s"), 10) - local.grace - 5

  # What the certificates' files hold, of the job's Nomad variable. Where TLS passes through
  # the first is empty, until the variable says that HAProxy ends it: it does so before
  # EMQX's listeners go, and its job changes afterwards. An item that was taken away is
  # empty, too: after an error in a template a running task gets no new text of any file.
  # HAProxy takes no empty line among the keys of tickets. A certificate from outside may
  # go away, too: its file is empty then, which HAProxy does not take.
  own_pair     = "{{ (index . \"tls_certificate\").Value }}\n{{ (index . \"tls_private_key\").Value }}\n"
  outside      = "nomad/jobs/emqx-${var.environment}-haproxy/haproxy"
  outside_pair = "{{ if nomadVarExists \"${local.outside}\" }}{{ with nomadVar \"${local.outside}\" }}{{ (index . \"certificate\").Value }}\n{{ (index . \"private_key\").Value }}\n{{ end }}{{ end }}"
  # The variable loses the stack's own before this job reads the other.
  pair = var.tls_outside ? local.outside_pair : "{{ if (index . \"tls_certificate\").Value }}${local.own_pair}{{ else }}${local.outside_pair}{{ end }}"
  ends = "and ${!var.tls_at_edge} (or ${var.tls_at_proxy} (eq (index . \"tls_terminate\").Value \"proxy\"))"
  tls_files = merge(
    var.tls ? { "tls.pem" = "{{ if ${local.ends} }}${local.pair}{{ end }}" } : {},
    var.tls ? { "further.pem" = "{{ if ${local.ends} }}{{ (index . \"tls_further\").Value }}{{ end }}\n" } : {},
    var.tls_tickets ? { "tickets" = "{{ (index . \"tls_ticket_keys\").Value }}" } : {},
    var.tls_clients != "none" ? { "ca.pem" = "{{ (index . \"tls_client_ca\").Value }}\n" } : {},
    var.tls_revoked ? { "crl.pem" = "{{ (index . \"tls_client_crl\").Value }}\n" } : {},
  )
}

job "haproxy" {
  id          = "emqx-${var.environment}-haproxy"
  name        = "emqx-${var.environment}-haproxy"
  type        = "service"
  region      = var.region
  namespace   = var.namespace
  datacenters = [var.datacenter]

  group "haproxy" {
    count = var.node_count

    constraint {
      attribute = "${meta.pool_type}"
      value     = "emqx"
    }

    constraint {
      attribute = "${meta.emqx_cluster}"
      value     = var.environment
    }

    constraint {
      operator = "distinct_hosts"
      value    = "true"
    }

    update {
      max_parallel      = 1
      health_check      = "checks"
      min_healthy_time  = var.min_healthy_time
      healthy_deadline  = var.healthy_deadline
      progress_deadline = var.progress_deadline
      auto_revert       = true
      canary            = 0
    }

    migrate {
      max_parallel     = 1
      health_check     = "checks"
      min_healthy_time = var.min_healthy_time
      healthy_deadline = var.healthy_deadline
    }

    restart {
      attempts = 4
      interval = "5m"
      delay    = "2s"
      mode     = "fail"
    }

    reschedule {
      delay          = "10s"
      delay_function = "exponential"
      max_delay      = "30s"
      unlimited      = true
    }

    # See the EMQX job: a node out of sight keeps serving; the instance that OCI
    # launches in its place gets a HAProxy as soon as it is there.
    disconnect {
      lost_after = "15m"
      replace    = true
      reconcile  = "keep_replacement"
    }

    network {
      mode = "host"

      dynamic "port" {
        for_each = var.ports
        labels   = [port.key]
        content {
          static       = port.value
          host_network = "emqx"
        }
      }
    }

    service {
      provider = "consul"
      name     = "emqx-haproxy"
      port     = "admin"
      tags     = [var.environment]

      dynamic "identity" {
        for_each = local.identities
        content {
          aud = ["consul.io"]
          ttl = identity.value
        }
      }

      check {
        name     = "emqx-haproxy health"
        type     = "http"
        path     = "/haproxy_ready"
        interval = "2s"
        timeout  = "2s"
      }
    }

    task "haproxy" {
      driver = "docker"

      # The official image's user; any image will do with it.
      user = "99:99"

      kill_signal  = "SIGTERM"
      kill_timeout = var.kill_timeout

      dynamic "identity" {
        for_each = local.identities
        content {
          name = identity.key
          aud  = ["consul.io"]
          ttl  = identity.value
        }
      }

      config {
        image              = var.image
        image_pull_timeout = "10m"
        entrypoint         = ["/bin/sh", "${NOMAD_TASK_DIR}/run.sh"]
        network_mode       = "host"
        cap_drop           = ["all"]
        security_opt       = ["no-new-privileges"]
        pids_limit         = 4096

        # HAProxy writes to its folder in /tmp alone.
        readonly_rootfs = true
        mount {
          type   = "tmpfs"
          target = "/tmp"
          tmpfs_options {
            size = 67108864 # bytes; it counts as the task's memory
          }
        }

        # What Nomad has not read yet; Nomad itself keeps ten files of 10 MB.
        logging {
          type = "json-file"
          config {
            max-size = "2m"
            max-file = "2"
          }
        }

        # A core has every secret in it.
        ulimit {
          nofile = "${var.nofile}:${var.nofile}"
          core   = "0:0"
        }
      }

      # What the configuration and the script need to know.
      env = merge({
        ENVIRONMENT     = var.environment
        LISTENERS       = join(" ", local.listeners)
        TLS             = "${var.tls}"
        TLS_AT_PROXY    = "${var.tls_at_proxy}"
        TLS_AT_EDGE     = "${var.tls_at_edge}"
        TLS_PROFILE     = var.tls_profile
        TLS_CLIENTS     = var.tls_clients
        TLS_REVOKED     = "${var.tls_revoked}"
        TLS_DEVICES     = "${var.tls_devices}"
        TLS_TICKETS     = "${var.tls_tickets}"
        CLIENTS         = "${var.maxconn}"
        MAXCONN         = "${var.maxconn + var.headroom}"
        PER_SOURCE      = "${var.per_source}"
        PER_SOURCE_RATE = "${var.per_source_rate}"
        CONNECT_TIMEOUT = var.connect_timeout
        IDLE_TIMEOUT    = "${ceil(var.keepalive_max * 1.5)}s"
        GRACE           = "${local.grace}"
        HARD_STOP       = "${local.hard_stop}"
        SPREAD          = "5"
        }, { for name in local.listeners : "LIMIT_${name}" => "${lookup(var.limits, name, 0)}" },
        { for name in local.listeners : "RATE_${name}" => "${lookup(var.rates, name, 0)}" },
        { for name in local.listeners : "ANNOUNCED_${name}" => contains(split(" ", var.announced), name) ? var.announced_from : "" },
        { for name, port in var.broker_ports : "BROKER_${name}" => "${port}" },
      )

      template {
        destination = "${NOMAD_TASK_DIR}/run.sh"
        change_mode = "noop"
        perms       = "0444"
        data        = var.run
      }

      # It holds the statistics' password: the secrets' folder is not readable
      # through Nomad's API. The script sees that it changed; a signal from Nomad
      # would reach all nodes at once, and fails for good while no task runs.
      template {
        destination          = "${NOMAD_SECRETS_DIR}/haproxy.cfg"
        change_mode          = "noop"
        perms                = "0400"
        uid                  = 99
        gid                  = 99
        error_on_missing_key = true
        data                 = var.config
      }

      dynamic "template" {
        for_each = local.tls_files
        iterator = file
        content {
          destination          = "${NOMAD_SECRETS_DIR}/${file.key}"
          change_mode          = "noop"
          perms                = "0400"
          uid                  = 99
          gid                  = 99
          error_on_missing_key = true
          data                 = "{{ with nomadVar \"nomad/jobs/emqx-${var.environment}-haproxy\" }}${file.value}{{ end }}"
        }
      }

      # Serial numbers of revoked certificates, and when those end: "emqx-oci device revoke"
      # writes them.
      dynamic "template" {
        for_each = var.tls_devices ? ["revoked.map"] : []
        iterator = file
        content {
          destination = "${NOMAD_SECRETS_DIR}/${file.value}"
          change_mode = "noop"
          perms       = "0400"
          uid         = 99
          gid         = 99
          data        = "{{ keyOrDefault \"emqx/${var.environment}/revoked-devices\" \"\" }}\n"
        }
      }

      resources {
        cpu    = var.cpu
        memory = var.memory
      }
    }
  }
}
