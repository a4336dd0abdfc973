# One EMQX cluster: one group, one allocation per node.
#
# Every variable is known when the stack is planned; nothing here comes from the
# cloud at run time, and nothing here is a secret: secrets are read from the Nomad
# variable nomad/jobs/emqx-<environment>, which only this job may read.

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
  description = "Nomad and Consul datacenter; part of every node name."
}

variable "node_count" {
  type        = number
  description = "Members of the cluster; allocation i runs on node i."
}

variable "image" {
  type        = string
  description = "Container image of EMQX."
}

variable "cpu" {
  type        = number
  description = "CPU reserved for one node, in MHz."
}

variable "memory" {
  type        = number
  description = "Memory limit of one node, in MB."
}

variable "tls" {
  type        = bool
  description = "Whether EMQX ends TLS; else it has no certificate."
}

variable "tls_outside" {
  type        = bool
  description = "Whether the certificate is in the variable of the job's group, which somebody else writes; else among the secrets."
}

variable "tls_modern" {
  type        = bool
  description = "Whether EMQX speaks TLS 1.3 alone, rather than 1.2 too."
}

variable "cert_names_from" {
  type        = string
  description = "The range of the HAProxies, which hand over the names of clients' certificates; empty when nobody does."
}

variable "license" {
  type        = bool
  description = "Whether the secrets hold a licence key; a cluster of 5.9 or newer needs one."
}

variable "keepalive_max" {
  type        = number
  description = "Largest MQTT keep-alive that the path supports, in seconds."
}

variable "ports" {
  type        = map(number)
  description = "Where EMQX listens on every node, by listener: mqtt, ws, mqtts and wss; one that is not there is off."
}

variable "nofile" {
  type        = number
  description = "Open files of one node; one connection takes one."
}

variable "max_connections" {
  type        = number
  description = "Connections that one listener accepts: what the memory holds, and some for those who ask whether it works."
}

variable "packet_kb" {
  type        = number
  description = "Largest packet that EMQX takes, in kB."
}

variable "topic_levels" {
  type        = number
  description = "Most levels of a topic or a topic filter."
}

variable "client_id_length" {
  type        = number
  description = "Longest client identifier, in bytes."
}

variable "connect_timeout" {
  type        = string
  description = "How long a client has for its CONNECT."
}

variable "shutdown_delay" {
  type        = string
  description = "Time between leaving Consul and the stop signal, within which HAProxy stops sending new clients."
}

variable "kill_timeout" {
  type        = string
  description = "Time between the stop signal and the kill: drain_timeout, and up to 120 s that EMQX takes."
}

variable "drain_rate" {
  type        = number
  description = "Clients that a stopping node moves to others, per second; 0 moves none."
}

variable "drain_timeout" {
  type        = number
  description = "Time that moving clients may take, in seconds."
}

variable "run" {
  type        = string
  description = "The script that runs EMQX and takes part in its stop."
}

variable "move" {
  type        = string
  description = "The script that moves clients to other nodes."
}

variable "holds" {
  type        = string
  description = "The script that tells whether this allocation's broker has the volume."
}

variable "takeover" {
  type        = string
  description = "The Erlang module that lets a session from another node wait for what is on its way."
}

variable "devices" {
  type        = string
  description = "The Erlang module that lets clients in by their certificates; empty where these are not enough."
}

variable "certificate_names" {
  type        = bool
  description = "Whether it lets in others than devices, too, whose names the built-in database does not know."
}

variable "listeners" {
  type        = string
  description = "The script that asks the task's own listeners whether they stand."
}

variable "min_healthy_time" {
  type        = string
  description = "Time an allocation passes its checks before it counts as healthy."
}

variable "healthy_deadline" {
  type        = string
  description = "Time within which an allocation must become healthy."
}

variable "progress_deadline" {
  type        = string
  description = "Time within which the next allocation must become healthy; above healthy_deadline."
}

variable "extra_env" {
  type        = map(string)
  description = "More EMQX_ variables (values as HOCON); they win over the ones below."
}

variable "secret_env" {
  type        = string
  description = "Changes with the variables that are among the secrets, and win over all others; empty when there are none."
}

variable "auth" {
  type        = bool
  description = "Whether the secrets hold who may connect, and what they may do; else everybody may."
}

variable "clientid_override" {
  type        = string
  description = "EMQX's expression that binds client identifiers to users; empty where a client may call itself as it likes."
}

variable "banned" {
  type        = string
  description = "Whom EMQX refuses, as CSV, from its first start on."
}

variable "authorities" {
  type        = map(string)
  description = "Authorities of servers that EMQX asks who may connect: the secrets' items by their files' names."
}

variable "consul_identity" {
  type        = bool
  description = "Whether services and templates log in to Consul by this job's identity; else they have no token."
}

variable "per_client" {
  type        = map(string)
  description = "EMQX's variables of what one client may do at most, and how often it may connect."
}

locals {
  # What Consul's auth method knows the job by, its audience and life Nomad's own defaults.
  identities = var.consul_identity ? { consul_default = "1h" } : {}

  # The four client listeners of EMQX: port label in this job, service in Consul. It has
  # those that have a port.
  all_listeners = {
    tcp = { port = "mqtt", service = "emqx" }
    ws  = { port = "ws", service = "emqx-ws" }
    ssl = { port = "mqtts", service = "emqx-tls" }
    wss = { port = "wss", service = "emqx-wss" }
  }
  listeners = { for name, l in local.all_listeners : name => l if contains(keys(var.ports), l.port) }

  # Services on the dashboard's port: the REST API and the metrics.
  http_services = ["emqx-dashboard", "emqx-metrics"]

  # A WebSocket that is silent for longer than this is closed. As on every other
  # hop of the path: EMQX itself waits 1.5 keep-alives for a silent MQTT client.
  idle_seconds = ceil(var.keepalive_max * 1.5)

  # EMQX reads the values as HOCON: a bare '#' cuts a value, a bare ':' breaks it.
  # Every string is therefore quoted, but for the node name, which the image's
  # start script reads on its own and takes as it stands.
  #
  # Values set here win over the dashboard's and come back at the next start, so
  # only identity, addresses and what this stack stands on are here; the rest
  # stays with the image's own defaults, the dashboard, or extra_env.
  #
  # EMQX writes all but "node" and "rpc" cluster-wide, whole roots at once, at an
  # import and at a change in the dashboard: what stands there must be the same text
  # on every node, or one node's values close the others' listeners.
  base_env = {
    # A name that outlives the address: EMQX keys its data and its member list by
    # it. The short name has no digits at its end, or port 4370 would move.
    EMQX_NODE__NAME = "emqx@${node.unique.name}.node.${var.datacenter}.consul"

    # The stack's own list of members in Consul's catalog, complete at all times:
    # a node that sees only itself would never look again.
    EMQX_CLUSTER__DISCOVERY_STRATEGY = "dns"
    EMQX_CLUSTER__DNS__RECORD_TYPE   = "srv"
    EMQX_CLUSTER__DNS__NAME          = "\"${var.environment}.emqx-cluster.service.consul\""

    # A removed member that returns with its data cannot start. Members leave by
    # decision of the stack, not because they were away for a day (the default).
    EMQX_CLUSTER__AUTOCLEAN = "\"168h\""

    # "manual" is one fixed port on every node. 4370 needs no setting: it is where
    # EMQX listens for Erlang distribution; its address is in the secrets' file.
    EMQX_RPC__PORT_DISCOVERY = "manual"
    EMQX_RPC__SERVER_PORT    = "5370"
    EMQX_RPC__LISTEN_ADDRESS = "\"${NOMAD_IP_rpc}\""

    EMQX_DASHBOARD__LISTENERS__HTTP__BIND = "\"0.0.0.0:18083\""
    EMQX_API_KEY__BOOTSTRAP_FILE          = "\"${NOMAD_SECRETS_DIR}/api_keys\""

    # Erlang's own dump of a crash, 100 MB with the cookie and passwords in it.
    EMQX_NODE__CRASH_DUMP_BYTES = "0"

    # In memory by default: a restarted cluster would have lost every one.
    EMQX_RETAINER__BACKEND__STORAGE_TYPE = "disc"

    # What EMQX takes from one client.
    EMQX_MQTT__MAX_PACKET_SIZE  = "\"${var.packet_kb}KB\""
    EMQX_MQTT__MAX_TOPIC_LEVELS = "${var.topic_levels}"
    EMQX_MQTT__MAX_CLIENTID_LEN = "${var.client_id_length}"
    EMQX_MQTT__IDLE_TIMEOUT     = "\"${var.connect_timeout}\""
  }

  # What EMQX has of Mozilla's recommended configurations, version 5.7: its own list has
  # static RSA and CBC. Of TLS 1.2 the suites that EMQX 5.8 itself lists (emqx_tls_lib),
  # so neither DHE nor ChaCha20; it has no setting for curves and ALPN.
  tls_versions = var.tls_modern ? ["tlsv1.3"] : ["tlsv1.3", "tlsv1.2"]
  tls_ciphers = concat(
    ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"],
    var.tls_modern ? [] : [
      "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384",
    ],
  )

  listener_env = merge([
    for name, l in local.listeners : merge(
      {
        "EMQX_LISTENERS__${upper(name)}__DEFAULT__BIND"           = "\"0.0.0.0:${var.ports[l.port]}\""
        "EMQX_LISTENERS__${upper(name)}__DEFAULT__ENABLE"         = "true"
        "EMQX_LISTENERS__${upper(name)}__DEFAULT__PROXY_PROTOCOL" = "true"

        # EMQX's own default is no limit: it takes clients until the kernel kills it.
        "EMQX_LISTENERS__${upper(name)}__DEFAULT__MAX_CONNECTIONS" = "${var.max_connections}"
      },
      contains(["ws", "wss"], name) ? {
        "EMQX_LISTENERS__${upper(name)}__DEFAULT__WEBSOCKET__IDLE_TIMEOUT" = "\"${local.idle_seconds}s\""
        # Who a client is says the PROXY header, not what it writes into its request.
        "EMQX_LISTENERS__${upper(name)}__DEFAULT__WEBSOCKET__PROXY_ADDRESS_HEADER" = "\"\""
        "EMQX_LISTENERS__${upper(name)}__DEFAULT__WEBSOCKET__PROXY_PORT_HEADER"    = "\"\""
      } : {},
      contains(["ssl", "wss"], name) ? {
        # EMQX reads a changed file at an unchanged path by itself, within 2 min. What Nomad
        # writes the script has looked at before.
        "EMQX_LISTENERS__${upper(name)}__DEFAULT__SSL_OPTIONS__CERTFILE"   = "\"${local.certificates}/tls.crt\""
        "EMQX_LISTENERS__${upper(name)}__DEFAULT__SSL_OPTIONS__KEYFILE"    = "\"${local.certificates}/tls.key\""
        "EMQX_LISTENERS__${upper(name)}__DEFAULT__SSL_OPTIONS__CACERTFILE" = "\"${local.certificates}/ca.crt\""
        "EMQX_LISTENERS__${upper(name)}__DEFAULT__SSL_OPTIONS__VERSIONS"   = jsonencode(local.tls_versions)
        "EMQX_LISTENERS__${upper(name)}__DEFAULT__SSL_OPTIONS__CIPHERS"    = jsonencode(local.tls_ciphers)
      } : {},
      # Whoever reaches the listener may write a PROXY header, and a name into it. EMQX takes
      # such rules for a WebSocket listener, too, and asks them there never
      # (emqx_listeners:ranch_opts): that one has the security group alone.
      var.cert_names_from != "" && contains(["tcp", "ssl"], name) ? {
        "EMQX_LISTENERS__${upper(name)}__DEFAULT__ACCESS_RULES" = jsonencode(["allow ${var.cert_names_from}", "deny all"])
      } : {},
    )
  ]...)

  identity_env = var.cert_names_from != "" ? { EMQX_MQTT__PEER_CERT_AS_USERNAME = "cn" } : {}

  # The image comes with all four listening, two on a public test certificate.
  closed_env = { for name, l in local.all_listeners : "EMQX_LISTENERS__${upper(name)}__DEFAULT__ENABLE" => "false" if !contains(keys(var.ports), l.port) }

  # Who may connect, and what they may do: the item of the secrets by the name of its file, and
  # whether that is one that nobody may see. EMQX has the two parts of its configuration as
  # variables, so that what somebody changes in the dashboard ends with the next start. What the
  # stack changes while EMQX runs it tells it over its API, and the files that it starts with
  # are those of the change.
  auth_files = var.auth ? {
    "users.json" = { item = "users", secret = true }
    "authn.json" = { item = "authn", secret = true }
    "authz.json" = { item = "authz", secret = true }
    "acl.conf"   = { item = "acl", secret = false }
  } : {}

  # Who comes with an identifier that is not his gets another one, which is banned. EMQX
  # reads the file while it has no bans yet.
  clientid_env = var.clientid_override == "" ? {} : {
    EMQX_MQTT__CLIENTID_OVERRIDE = "\"${var.clientid_override}\""
    EMQX_BANNED__BOOTSTRAP_FILE  = "\"$${NOMAD_TASK_DIR}/banned.csv\""
  }

  # The folder that EMQX reads its certificate from: the container's own, like that of the
  # secrets, cannot be read through Nomad.
  certificates = "/tmp/emqx-certificate"

  # A certificate from outside may go away: its files are empty then, which EMQX never sees.
  tls_items = var.tls_outside ? {
    "tls.crt" = "certificate", "tls.key" = "private_key", "ca.crt" = "certificate"
    } : {
    "tls.crt" = "tls_cert", "tls.key" = "tls_key", "ca.crt" = "tls_ca"
  }
  outside = "nomad/jobs/emqx-${var.environment}/emqx"
  tls_files = var.tls ? {
    for file, item in local.tls_items : file => var.tls_outside ?
    "{{ if nomadVarExists \"${local.outside}\" }}{{ with nomadVar \"${local.outside}\" }}{{ (index . \"${item}\").Value }}{{ end }}{{ end }}\n" :
    "{{ with nomadVar \"nomad/jobs/emqx-${var.environment}\" }}{{ (index . \"${item}\").Value }}{{ end }}\n"
  } : {}
}

job "emqx" {
  id          = "emqx-${var.environment}"
  name        = "emqx-${var.environment}"
  type        = "service"
  region      = var.region
  namespace   = var.namespace
  datacenters = [var.datacenter]

  # One group: max_parallel counts per group, so that one group per node would
  # update all nodes at once.
  group "emqx" {
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

    # Allocation i asks for host volume emqx[i], which only node i offers: this is
    # what ties data, node name and address of node i together.
    volume "data" {
      type      = "host"
      source    = "emqx"
      per_alloc = true
      read_only = false
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

    # A broker that ends is started again on the spot; one that keeps ending fails
    # its allocation, so that a deployment sees it, and is placed anew for ever.
    restart {
      attempts = 4
      interval = "5m"
      delay    = "5s"
      mode     = "fail"
    }

    # Nobody else can have its place: a node that is back must not wait for long.
    reschedule {
      delay          = "10s"
      delay_function = "exponential"
      max_delay      = "30s"
      unlimited      = true
    }

    # A client that Nomad's servers lose for a while keeps its broker running.
    # Nothing can replace it meanwhile but a relaunched instance that holds volume
    # i, and then the old broker is gone for certain: the replacement is kept.
    # With replace = false that instance would wait until the old client's
    # garbage collection, a day later.
    disconnect {
      lost_after = "15m"
      replace    = true
      reconcile  = "keep_replacement"
    }

    # From its beginning Consul names this node no more, and at its end no HAProxy
    # sends new clients here; those who are connected stay, until the task's own stop
    # moves them.
    shutdown_delay = var.shutdown_delay

    network {
      mode = "host"

      # The ports that clients know are HAProxy's.
      dynamic "port" {
        for_each = [for l in local.listeners : l.port]
        labels   = [port.value]
        content {
          static       = var.ports[port.value]
          host_network = "emqx"
        }
      }

      port "dashboard" {
        static       = 18083
        host_network = "emqx"
      }

      port "dist" {
        static       = 4370
        host_network = "emqx"
      }

      port "rpc" {
        static       = 5370
        host_network = "emqx"
      }
    }

    # The environment's tag makes <environment>.emqx.service.consul and the SRV
    # names that HAProxy asks for. /status says whether EMQX runs, and nothing of its
    # listeners: one that is closed shows by its port. A connection that ends before
    # its PROXY header is none to EMQX: nothing is logged. Whether MQTT is spoken
    # there, HAProxy asks. No check restarts anything: after a full stop a node waits,
    # silent, for the last one stopped.
    dynamic "service" {
      for_each = local.listeners
      iterator = listener
      content {
        provider = "consul"
        name     = listener.value.service
        port     = listener.value.port
        tags     = [var.environment]

        dynamic "identity" {
          for_each = local.identities
          content {
            aud = ["consul.io"]
            ttl = identity.value
          }
        }

        check {
          name     = "${listener.value.service} status"
          type     = "http"
          port     = "dashboard"
          path     = "/status"
          interval = "5s"
          timeout  = "3s"
        }

        check {
          name     = "${listener.value.service} listener"
          type     = "tcp"
          interval = "5s"
          timeout  = "3s"
        }
      }
    }

    dynamic "service" {
      for_each = local.http_services
      iterator = http
      content {
        provider = "consul"
        name     = http.value
        port     = "dashboard"

        # By these HAProxy asks whether this very member takes part, and with which port while
        # EMQX moves to others. No environment has two dashes beside each other.
        tags = concat(
          [var.environment, "${var.environment}--${NOMAD_ALLOC_INDEX}"],
          [for port in values(var.ports) : "${var.environment}--${NOMAD_ALLOC_INDEX}--${port}"],
        )

        dynamic "identity" {
          for_each = local.identities
          content {
            aud = ["consul.io"]
            ttl = identity.value
          }
        }

        check {
          name     = "${http.value} status"
          type     = "http"
          path     = "/status"
          interval = "5s"
          timeout  = "3s"
        }
      }
    }

    # What a port cannot tell: whether the broker there is this allocation's own, and not
    # one of an earlier allocation, and whether each listener speaks its protocol. No
    # traffic depends on it, as it goes through Nomad's agent, which may be away while its
    # broker serves; a deployment does, and whoever watches Consul. Both in one command:
    # each costs what beginning a process in a container does.
    service {
      provider = "consul"
      name     = "emqx-listeners"
      port     = "dashboard"
      tags     = [var.environment]

      dynamic "identity" {
        for_each = local.identities
        content {
          aud = ["consul.io"]
          ttl = identity.value
        }
      }

      check {
        name     = "emqx-listeners answer"
        type     = "script"
        task     = "emqx"
        command  = "/bin/bash"
        args     = ["-c", "/bin/bash ${NOMAD_TASK_DIR}/holds.sh && exec /bin/bash ${NOMAD_TASK_DIR}/listeners.sh"]
        interval = "10s"
        timeout  = "9s"
      }
    }

    task "emqx" {
      driver = "docker"

      # The image's own user; it owns the volume's data and the files below.
      user = "1000:1000"

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
        entrypoint         = ["/bin/bash", "${NOMAD_TASK_DIR}/run.sh"]
        args               = ["/opt/emqx/bin/emqx", "foreground"]
        network_mode       = "host"
        cap_drop           = ["all"]
        security_opt       = ["no-new-privileges"]
        pids_limit         = 4096

        # EMQX writes to its data, to its log folder, which the image has as a volume, and
        # to /tmp; what it is made of stays what the image says.
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

        # `emqx ctl` and `emqx eval` reach the broker by its name: not by DNS, which may be
        # away when clients have to be moved. Docker writes the file anew with these, so
        # the host's own name has to be there, too.
        extra_hosts = [
          "${node.unique.name}.node.${var.datacenter}.consul:${NOMAD_IP_dist}",
          "${attr.unique.hostname}:${NOMAD_IP_dist}",
        ]

        # A core has every secret in it.
        ulimit {
          nofile = "${var.nofile}:${var.nofile}"
          core   = "0:0"
        }
      }

      # Who asks Nomad's API for this task shows this token. In a file, and not in the
      # container's environment, which Docker tells.
      identity {
        env  = false
        file = true
      }

      volume_mount {
        volume      = "data"
        destination = "/opt/emqx/data"
      }

      env = merge(local.base_env, local.listener_env, local.closed_env, local.identity_env, local.clientid_env, var.certificate_names ? { CERTIFICATE_NAMES = "1" } : {}, var.per_client, var.extra_env, {
        HOME           = "/tmp" # where "emqx ctl" may write
        DRAIN_RATE     = "${var.drain_rate}"
        DRAIN_TIMEOUT  = "${var.drain_timeout}"
        DRAIN_EVACUATE = "${var.license}"
        TAKEOVER_PAUSE = "500"
        SIZE_FILE      = "${NOMAD_TASK_DIR}/size"
        API_SOCKET     = "${NOMAD_SECRETS_DIR}/api.sock"
        TOKEN_FILE     = "${NOMAD_SECRETS_DIR}/nomad_token"
        KEY_FILE       = "${NOMAD_SECRETS_DIR}/api_keys"
        SECRETS_FILE   = "${NOMAD_SECRETS_DIR}/emqx.env"
        CERTIFICATES   = var.tls ? local.certificates : ""

        NEW_CERTIFICATES = "${NOMAD_SECRETS_DIR}"

        # Variables are read at the start only: changed ones change the job.
        SECRETS_DIGEST = var.secret_env
      })

      template {
        destination = "${NOMAD_TASK_DIR}/run.sh"
        change_mode = "noop"
        perms       = "0444"
        data        = var.run
      }

      template {
        destination = "${NOMAD_TASK_DIR}/move.sh"
        change_mode = "noop"
        perms       = "0444"
        data        = var.move
      }

      template {
        destination = "${NOMAD_TASK_DIR}/holds.sh"
        change_mode = "noop"
        perms       = "0444"
        data        = var.holds
      }

      template {
        destination = "${NOMAD_TASK_DIR}/emqx_oci_takeover.erl"
        change_mode = "noop"
        perms       = "0444"
        data        = var.takeover
      }

      dynamic "template" {
        for_each = var.devices == "" ? [] : [var.devices]
        iterator = devices
        content {
          destination = "${NOMAD_TASK_DIR}/emqx_oci_devices.erl"
          change_mode = "noop"
          perms       = "0444"
          data        = devices.value
        }
      }

      template {
        destination = "${NOMAD_TASK_DIR}/listeners.sh"
        change_mode = "noop"
        perms       = "0444"
        data        = var.listeners
      }

      # How many nodes the stack wants, current to the end. The job's own count would
      # be that of the day when the allocation was placed, and would restart every
      # node when it changes. A stack that is destroyed has no record, and nobody
      # leaves.
      template {
        destination = "${NOMAD_TASK_DIR}/size"
        change_mode = "noop"
        perms       = "0444"
        data        = "{{ keyOrDefault \"emqx/${var.environment}/size\" \"\" }}\n"

        # Nomad's own is 5 s of quiet, in which a node without clients has stopped and
        # not left.
        wait {
          min = "50ms"
          max = "1s"
        }
      }

      # Erlang writes addresses with commas.
      template {
        destination = "${NOMAD_TASK_DIR}/erl.env"
        env         = true
        change_mode = "noop"
        data        = <<-EOT
          ERL_FLAGS="-kernel inet_dist_use_interface {{ "{" }}{{ env "NOMAD_IP_dist" | replaceAll "." "," }}{{ "}" }}"
        EOT
      }

      # Not with env = true: the container's own variables stand in clear in what Docker
      # says of it. The start script gives these to EMQX's process alone. Twice quoted:
      # once as HOCON for EMQX, once for the shell. Cookie and licence key once, as
      # EMQX's start script reads them itself: a cookie in quotes differs from the
      # running node's, and "emqx ctl" refuses to work. No change of a secret restarts a
      # node, let alone all of them. An item that a stack may do without is taken out before
      # the job changes: by its index it is empty then, and EMQX starts without it. By its name it would be an error
      # (error_on_missing_key), after which a running task gets no new text of any file: of
      # the number of nodes neither.
      template {
        destination          = "${NOMAD_SECRETS_DIR}/emqx.env"
        change_mode          = "noop"
        perms                = "0400"
        uid                  = 1000
        gid                  = 1000
        error_on_missing_key = true
        data                 = <<-EOT
          {{- with nomadVar "nomad/jobs/emqx-${var.environment}" }}
          EMQX_NODE__COOKIE='{{ .erlang_cookie.Value }}'
          EMQX_DASHBOARD__DEFAULT_PASSWORD='{{ .dashboard_password.Value | toUnescapedJSON | replaceAll "'" "'\\''" }}'
          {{- if ${var.license} }}
          {{- with (index . "license_key").Value }}
          EMQX_LICENSE__KEY='{{ . | replaceAll "'" "'\\''" }}'
          {{- end }}
          {{- end }}
          {{- if ${var.auth} }}
          {{- with (index . "authn").Value }}
          EMQX_AUTHENTICATION='{{ . | replaceAll "'" "'\\''" }}'
          {{- end }}
          {{- with (index . "authz").Value }}
          EMQX_AUTHORIZATION='{{ . | replaceAll "'" "'\\''" }}'
          {{- end }}
          {{- end }}
          {{- if ${var.secret_env != ""} }}
          {{ (index . "environment").Value }}
          {{- end }}
          {{- if and ${var.tls} (not (index . "tls_cert").Value) }}
          EMQX_LISTENERS__SSL__DEFAULT__ENABLE=false
          EMQX_LISTENERS__WSS__DEFAULT__ENABLE=false
          {{- end }}
          {{- end }}
        EOT
      }

      template {
        destination          = "${NOMAD_SECRETS_DIR}/api_keys"
        change_mode          = "noop"
        perms                = "0400"
        uid                  = 1000
        gid                  = 1000
        error_on_missing_key = true
        data                 = <<-EOT
          {{ with nomadVar "nomad/jobs/emqx-${var.environment}" }}{{ .api_key }}:{{ .api_secret }}{{ end }}
        EOT
      }

      dynamic "template" {
        for_each = var.banned == "" ? [] : [var.banned]
        iterator = banned
        content {
          destination = "${NOMAD_TASK_DIR}/banned.csv"
          change_mode = "noop"
          perms       = "0444"
          data        = banned.value
        }
      }

      # Taken out of the secrets, each is empty: see above.
      dynamic "template" {
        for_each = local.auth_files
        iterator = file
        content {
          destination          = "${file.value.secret ? NOMAD_SECRETS_DIR : NOMAD_TASK_DIR}/${file.key}"
          change_mode          = "noop"
          perms                = file.value.secret ? "0400" : "0444"
          uid                  = 1000
          gid                  = 1000
          error_on_missing_key = true
          data                 = "{{ with nomadVar \"nomad/jobs/emqx-${var.environment}\" }}{{ (index . \"${file.value.item}\").Value }}{{ end }}"

          # A step of the update waits for them.
          wait {
            min = "50ms"
            max = "1s"
          }
        }
      }

      dynamic "template" {
        for_each = var.authorities
        iterator = authority
        content {
          destination          = "${NOMAD_SECRETS_DIR}/${authority.key}.crt"
          change_mode          = "noop"
          perms                = "0400"
          uid                  = 1000
          gid                  = 1000
          error_on_missing_key = true
          data                 = "{{ with nomadVar \"nomad/jobs/emqx-${var.environment}\" }}{{ (index . \"${authority.value}\").Value }}{{ end }}\n"
        }
      }

      dynamic "template" {
        for_each = local.tls_files
        iterator = file
        content {
          destination          = "${NOMAD_SECRETS_DIR}/${file.key}"
          change_mode          = "noop"
          perms                = "0400"
          uid                  = 1000
          gid                  = 1000
          error_on_missing_key = true
          data                 = file.value
        }
      }

      resources {
        cpu    = var.cpu
        memory = var.memory
      }
    }
  }
}
