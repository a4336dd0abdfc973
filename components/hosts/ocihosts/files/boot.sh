# Boot script of one EMQX node. As cloud-init's user data it installs itself and starts
# emqx-boot.service, which runs it at this boot and at every later one, until it succeeds
# (ADR 0035). It makes the instance node i: claims volume i and address i by their tags,
# prepares system, Consul and Nomad for them, and starts both agents. A second run changes
# nothing.

set -Eeuo pipefail
umask 022
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C

readonly NODE="emqx-$EMQX_ENV-$EMQX_INDEX"
readonly MOUNT="/mnt/bv/emqx-$EMQX_INDEX" LINK="/opt/nomad/data/emqx-$EMQX_INDEX"
# ext4 allows 16 characters; the environment is in the tags.
readonly LABEL="emqx-$EMQX_INDEX"
readonly DEVICE=/dev/oracleoci/oraclevdb
readonly METADATA=http://169.254.169.254/opc/v2
readonly SELF=/usr/local/sbin/emqx-boot LOG=/var/log/emqx-boot.log DONE=/var/lib/emqx-boot/done
# The reserved address as the system has to have it: "ens3 10.0.1.11/24".
readonly HELD=/run/emqx-boot/address
readonly NOMAD=http://127.0.0.1:4646 CONSUL=http://127.0.0.1:8500
# What the script asks Consul's agent with, as a header of HTTP; Nomad's is in its own folder,
# where an image may bring it.
readonly CONSUL_TOKEN=/etc/emqx-consul.token NOMAD_TOKEN=/etc/nomad.d/boot.token
# What Docker's driver logs in to registries with; Nomad reads all files of /etc/nomad.d.
readonly REGISTRIES=/etc/emqx-registries.json
# How a new node is introduced to Nomad's servers, where their agent reads it.
readonly INTRODUCTION=/opt/nomad/data/client/intro_token.jwt
# The users of the images: of EMQX's, and of HAProxy's.
readonly EMQX_UID=1000 HAPROXY_UID=99

# To standard error: standard output is what functions return.
log() { printf '%s %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$*" >&2; }

# failed WHAT: also to Nomad, which shows it with the node where its agent runs already.
failed() {
  log "FAILED: $*"
  tell "$*"
}

die() {
  failed "$*"
  exit 1
}

# tell WHAT: gate G1 reads this meta of the node; empty takes it back.
tell() {
  jq -n --arg what "$1" '{Meta: {emqx_boot: (if $what == "" then null else $what end)}}' 2>/dev/null |
    nomad_api /v1/client/metadata --max-time 5 -X POST -d @- >/dev/null 2>&1 || true
}

# nomad_api PATH [CURL'S ARGUMENTS]: asks the node's agent, with the token that there may be.
nomad_api() { agent_api "$NOMAD_TOKEN" "$NOMAD$1" "${@:2}"; }

consul_api() { agent_api "$CONSUL_TOKEN" "$CONSUL$1" "${@:2}"; }

agent_api() {
  local file=$1 token=()
  if [[ -r $file ]]; then token=(-H "@$file"); fi
  curl -fsS --max-time 10 "${token[@]}" "${@:3}" "$2"
}

# waiting WHY: says so, and again every minute for as long as it stays the same.
waiting() {
  [[ $1 != "${WAITING:-}" ]] || ((SECONDS >= WAITED + 60)) || return 0
  WAITING=$1 WAITED=$SECONDS
  log "waiting: $1"
}

# put FILE MODE: standard input becomes FILE; true when that changed it.
put() {
  local new
  mkdir -p "$(dirname "$1")"
  new=$(mktemp "$1.XXXXXX")
  cat >"$new"
  chmod "$2" "$new"
  if cmp -s "$new" "$1" && [[ $(stat -c %a "$new") == "$(stat -c %a "$1")" ]]; then
    rm -f "$new"
    return 1
  fi
  mv -f "$new" "$1"
  log "wrote $1"
}

# until_true SECONDS WHAT COMMAND...: repeats COMMAND until it succeeds.
until_true() {
  local seconds=$1 what=$2 end=$((SECONDS + $1))
  shift 2
  until "$@"; do
    ((SECONDS < end)) || die "waiting for $what: gave up after $seconds s"
    waiting "$what"
    sleep 2
  done
}

# ---------------------------------------------------------------- packages

have() { command -v "$1" >/dev/null 2>&1; }

# What the image has is used as it is; what it lacks comes from its vendor, pinned.
install_packages() {
  local missing=() p
  for p in curl jq docker consul nomad nft oci mkfs.ext4; do
    have "$p" || missing+=("$p")
  done
  resolved || have dnsmasq || missing+=(dnsmasq)
  ((${#missing[@]})) || return 0
  log "installing: ${missing[*]}"
  # shellcheck source=/dev/null
  case "$(. /etc/os-release && echo "$ID")" in
    ol) install_ol "${missing[@]}" ;;
    ubuntu) install_ubuntu "${missing[@]}" ;;
    *) die "missing ${missing[*]}, and this is neither Oracle Linux nor Ubuntu" ;;
  esac
  for p in "${missing[@]}"; do
    have "$p" || die "installing $p: it is still not there"
  done
}

install_ol() {
  local p packages=()
  for p in "$@"; do
    case "$p" in
      docker)
        retry curl -fsS https://download.docker.com/linux/centos/docker-ce.repo -o /etc/yum.repos.d/docker-ce.repo
        packages+=("docker-ce-$DOCKER_VERSION" "docker-ce-cli-$DOCKER_VERSION" "containerd.io-$CONTAINERD_VERSION")
        ;;
      consul | nomad)
        retry curl -fsS https://rpm.releases.hashicorp.com/RHEL/hashicorp.repo -o /etc/yum.repos.d/hashicorp.repo
        if [[ $p == consul ]]; then packages+=("consul-$CONSUL_VERSION"); else packages+=("nomad-$NOMAD_VERSION"); fi
        ;;
      oci)
        retry dnf -y -q install oraclelinux-developer-release-el9
        packages+=(python39-oci-cli)
        ;;
      mkfs.ext4) packages+=(e2fsprogs) ;;
      nft) packages+=(nftables) ;;
      *) packages+=("$p") ;;
    esac
  done
  # containerd.io and the distribution's runc exclude each other.
  retry dnf -y -q --allowerasing install "${packages[@]}"
}

install_ubuntu() {
  local p packages=() codename arch
  # shellcheck source=/dev/null
  codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
  arch=$(dpkg --print-architecture)
  export DEBIAN_FRONTEND=noninteractive
  # The first boot's own apt runs hold the lock for a while.
  local apt=(apt-get -y -q -o DPkg::Lock::Timeout=300)
  retry "${apt[@]}" update
  retry "${apt[@]}" install curl ca-certificates gnupg
  for p in "$@"; do
    case "$p" in
      docker)
        retry curl -fsS https://download.docker.com/linux/ubuntu/gpg -o /etc/apt/keyrings/docker.asc
        put /etc/apt/sources.list.d/docker.list 644 <<<"deb [arch=$arch signed-by=/etc/apt/keyrings/docker.asc] https://download.docker.com/linux/ubuntu $codename stable" || true
        p="1~ubuntu.24.04~$codename"
        packages+=("docker-ce=5:$DOCKER_VERSION-$p" "docker-ce-cli=5:$DOCKER_VERSION-$p" "containerd.io=$CONTAINERD_VERSION-$p")
        ;;
      consul | nomad)
        retry curl -fsS https://apt.releases.hashicorp.com/gpg -o /etc/apt/keyrings/hashicorp.asc
        put /etc/apt/sources.list.d/hashicorp.list 644 <<<"deb [arch=$arch signed-by=/etc/apt/keyrings/hashicorp.asc] https://apt.releases.hashicorp.com $codename main" || true
        if [[ $p == consul ]]; then packages+=("consul=$CONSUL_VERSION-1"); else packages+=("nomad=$NOMAD_VERSION-1"); fi
        ;;
      oci)
        retry "${apt[@]}" install python3-venv
        [[ -x /opt/oci-cli/bin/pip ]] || python3 -m venv /opt/oci-cli
        retry /opt/oci-cli/bin/pip install -q "oci-cli==$OCI_CLI_VERSION"
        ln -sfn /opt/oci-cli/bin/oci /usr/local/bin/oci
        ;;
      mkfs.ext4) packages+=(e2fsprogs) ;;
      nft) packages+=(nftables) ;;
      *) packages+=("$p") ;;
    esac
  done
  retry "${apt[@]}" update
  ((${#packages[@]} == 0)) || retry "${apt[@]}" install "${packages[@]}"
}

# Mirrors and a network that is still coming up: 10 tries in about 3 minutes.
retry() {
  local try
  for try in 1 2 3 4 5 6 7 8 9; do
    "$@" && return 0
    log "try $try of 10 failed: $*"
    sleep $((try * 4))
  done
  "$@"
}

# -------------------------------------------------------------------- cloud

metadata() {
  curl -fsS --connect-timeout 5 --retry 30 --retry-delay 2 --retry-all-errors \
    -H 'Authorization: Bearer Oracle' "$METADATA/$1"
}

# cloud ARGUMENTS: the answer's data; an empty list prints nothing at all. What oci has to
# say of its arguments is on standard output. No option here may have choices that differ
# between versions of oci: Oracle Linux has its own (ADR 0036). So nothing waits for a state.
cloud() {
  local out
  if ! out=$(OCI_CLI_SUPPRESS_FILE_PERMISSIONS_WARNING=True oci "$@" --auth instance_principal); then
    [[ -z $out ]] || log "$out"
    return 1
  fi
  if [[ -n $out ]]; then jq -c '.data' <<<"$out"; else echo '[]'; fi
}

# mine LIST: its elements with this node's tags, one a line.
mine() {
  jq -c --arg env "$EMQX_ENV" --arg i "$EMQX_INDEX" \
    '.[] | select(.["freeform-tags"]["emqx-cluster"] == $env and .["freeform-tags"]["group-index"] == $i)' <<<"$1"
}

field() { jq -r --arg k "$2" '.[$k] // empty' <<<"$1"; }

# instance_gone ID: true only when that is certain. OCI forgets a terminated instance
# after a while, and then answers as it does to one who may not ask: so this instance
# asks for itself, too.
instance_gone() {
  local out state
  if out=$(oci compute instance get --instance-id "$1" --auth instance_principal 2>&1 >"$SCRATCH/instance"); then
    state=$(jq -r '.data["lifecycle-state"]' "$SCRATCH/instance")
    [[ $state == TERMINATED || $state == TERMINATING ]]
  else
    [[ $out == *NotAuthorizedOrNotFound* ]] && cloud compute instance get --instance-id "$INSTANCE" >/dev/null
  fi
}

# claim_volume attaches the node's volume here. The volume goes to one instance
# only: who has it is node i. So it is never taken from an instance that lives.
claim_volume() {
  local end=$((SECONDS + CLAIM_SECONDS)) why volumes volume id list held holder state
  while :; do
    why=''
    if ! volumes=$(cloud bv volume list --compartment-id "$COMPARTMENT" --availability-domain "$DOMAIN" --lifecycle-state AVAILABLE --all); then
      why="asking for volumes failed (do the dynamic group and its policy let this instance?)"
    else
      volume=$(mine "$volumes")
      [[ $(wc -l <<<"$volume") -le 1 ]] || die "more than one volume in $DOMAIN is tagged emqx-cluster=$EMQX_ENV group-index=$EMQX_INDEX"
      id=$(field "${volume:-null}" id)
      [[ -n $id ]] || why="no available volume in $DOMAIN is tagged emqx-cluster=$EMQX_ENV group-index=$EMQX_INDEX"
    fi
    if [[ -z $why ]] && list=$(cloud compute volume-attachment list --compartment-id "$COMPARTMENT" --volume-id "$id" --all); then
      held=$(jq -c 'map(select(.["lifecycle-state"] != "DETACHED")) | .[0] // empty' <<<"$list")
      holder=$(field "${held:-null}" instance-id)
      state=$(field "${held:-null}" lifecycle-state)
      if [[ -z $holder ]]; then
        cloud compute volume-attachment attach --type paravirtualized --instance-id "$INSTANCE" --volume-id "$id" \
          --device "$DEVICE" >/dev/null && log "attaching volume $id" && continue
        why="attaching volume $id failed"
      elif [[ $state == DETACHING || $holder == "$INSTANCE" ]]; then
        [[ $state != ATTACHED ]] || return 0
        why="volume $id is $state, instance $holder"
      elif instance_gone "$holder"; then
        log "volume $id: its instance $holder is gone, detaching"
        cloud compute volume-attachment detach --volume-attachment-id "$(field "$held" id)" --force >/dev/null && continue
        why="detaching volume $id from $holder failed"
      else
        why="volume $id is $state to instance $holder, which still lives"
      fi
    fi
    ((SECONDS < end)) || die "claiming the volume: $why; gave up after $CLAIM_SECONDS s"
    waiting "${why:-asking for attachments failed}"
    sleep 3
  done
}

# claim_address moves the node's reserved address to this instance's VNIC. Whoever
# holds it is node i no more: this instance has the volume.
claim_address() {
  local end=$((SECONDS + CLAIM_SECONDS)) why own subnet all reserved
  while :; do
    why='asking for addresses failed'
    if own=$(cloud network private-ip list --vnic-id "$VNIC" --all) &&
      subnet=$(jq -r '.[0]["subnet-id"] // empty' <<<"$own") && [[ -n $subnet ]] &&
      all=$(cloud network private-ip list --subnet-id "$subnet" --all); then
      reserved=$(mine "$all")
      [[ $(wc -l <<<"$reserved") -le 1 ]] || die "more than one address in $subnet is tagged emqx-cluster=$EMQX_ENV group-index=$EMQX_INDEX"
      ADDRESS=$(field "${reserved:-null}" ip-address)
      if [[ -z $ADDRESS ]]; then
        why="no address in $subnet is tagged emqx-cluster=$EMQX_ENV group-index=$EMQX_INDEX"
      elif [[ $(field "$reserved" vnic-id) == "$VNIC" ]]; then
        return 0
      else
        # "private-ip update" has no --vnic-id; this is the command that moves one.
        cloud network vnic assign-private-ip --vnic-id "$VNIC" --ip-address "$ADDRESS" --unassign-if-already-assigned >/dev/null &&
          log "assigned address $ADDRESS to $VNIC" && continue
        why="assigning $ADDRESS failed"
      fi
    fi
    ((SECONDS < end)) || die "claiming the address: $why; gave up after $CLAIM_SECONDS s"
    waiting "$why"
    sleep 3
  done
}

# OCI routes the address to the VNIC; the system has to know it, at every boot, and must
# not lose it while it runs.
configure_address() {
  local changed=0
  INTERFACE=$(ip -j -4 addr show | jq -r --arg a "$PRIMARY" '.[] | select(.addr_info[].local == $a) | .ifname' | head -n 1)
  [[ -n $INTERFACE ]] || die "no interface has the VNIC's address $PRIMARY"
  keep_address
  put "$HELD" 644 <<<"$INTERFACE $ADDRESS/$PREFIX" && changed=1
  assert_address "$INTERFACE" "$ADDRESS/$PREFIX"
  start emqx-address "$changed"
}

# keep_address: what manages the interface takes off what it does not know, networkd when
# it restarts (as after an update), NetworkManager when it applies a connection again.
keep_address() {
  local file connection
  if systemctl is-active --quiet systemd-networkd; then
    file=$(networkctl status --no-pager "$INTERFACE" | sed -n 's/^ *Network File: //p') || file=''
    # "yes", as netplan has it for what the boot volume hangs on, keeps more.
    if [[ -f $file ]] && ! grep -qE '^KeepConfiguration=(yes|true|on|1|static)$' "$file" &&
      put "/etc/systemd/network/${file##*/}.d/emqx.conf" 644 <<<$'[Network]\nKeepConfiguration=static'; then
      networkctl reload || log "networkd does not take its new file"
    fi
  fi
  if systemctl is-active --quiet NetworkManager; then
    connection=$(nmcli -g GENERAL.CON-UUID device show "$INTERFACE") || connection=''
    if [[ -n $connection ]] && ! nmcli -g ipv4.addresses connection show "$connection" | grep -qwF "$ADDRESS/$PREFIX"; then
      # It holds from the connection's next activation on; until then the address below does.
      nmcli connection modify "$connection" +ipv4.addresses "$ADDRESS/$PREFIX" ||
        log "NetworkManager does not take $ADDRESS into its connection $connection"
    fi
  fi
}

assert_address() {
  if ! ip -j -4 addr show dev "$1" | jq -e --arg a "${2%/*}" 'any(.[].addr_info[]; .local == $a)' >/dev/null; then
    ip addr add "$2" dev "$1"
    log "added $2 to $1"
  fi
}

# hold_address is emqx-address.service: it puts the address back whoever took it off.
hold_address() {
  local interface address
  read -r interface address <"$HELD"
  # The line of its own comes when the kernel tells of changes already: none is missed.
  { (sleep 1 && echo) & ip -4 monitor address dev "$interface"; } | while read -r _; do
    assert_address "$interface" "$address"
  done
}

# ------------------------------------------------------------------- volume

# A volume counts as empty only when nothing finds anything on it, and its first
# MiB is zeros: what a new volume of OCI is.
volume_is_empty() {
  local found=0
  blkid -p "$1" >/dev/null 2>&1 || found=$?
  ((found == 2)) && [[ -z $(wipefs --noheadings "$1") ]] && cmp -s -n 1048576 "$1" /dev/zero
}

# grown DEVICE: the volume has room that its file system does not use.
grown() {
  local blocks size
  read -r blocks size < <(dumpe2fs -h "$1" 2>/dev/null | awk '/^Block count:/ {b = $3} /^Block size:/ {s = $3} END {print b, s}')
  ((blocks * size + 1048576 < $(blockdev --getsize64 "$1")))
}

mount_volume() {
  local device uuid type label code=0 force=()
  until_true 120 "$DEVICE" test -b "$DEVICE"
  device=$(readlink -f "$DEVICE")
  # The kernel learns of a grown volume by asking.
  if [[ -w /sys/class/block/${device##*/}/device/rescan ]]; then
    echo 1 >"/sys/class/block/${device##*/}/device/rescan" || true
  fi
  if volume_is_empty "$device"; then
    log "making a file system on the empty volume $device"
    mkfs.ext4 -q -m 1 -L "$LABEL" "$device"
  fi
  type=$(blkid -p -o value -s TYPE "$device" || true)
  label=$(blkid -p -o value -s LABEL "$device" || true)
  uuid=$(blkid -p -o value -s UUID "$device" || true)
  [[ $type == ext4 ]] || die "volume $device is not empty and holds no ext4 (found: ${type:-unknown data}): not touching it"
  [[ $label == "$LABEL" ]] || die "volume $device holds a file system labelled '$label', not '$LABEL': not using it; if it is this node's, run: e2label $device $LABEL"

  if ! mountpoint -q "$MOUNT"; then
    # What is under the mount is for nobody: EMQX must not start beside its volume.
    mkdir -p "$MOUNT"
    chmod 0700 "$MOUNT"
    if grown "$device"; then force=(-f); fi
    fsck.ext4 -p "${force[@]}" "$device" || code=$?
    ((code < 4)) || die "checking the file system of $device: fsck.ext4 -p ended with $code; repair it by hand"
  fi
  if ! grep -q "^UUID=$uuid $MOUNT " /etc/fstab; then
    sed -i "\| $MOUNT |d" /etc/fstab
    echo "UUID=$uuid $MOUNT ext4 defaults,noatime,nofail,_netdev 0 2" >>/etc/fstab
    systemctl daemon-reload
    log "wrote $MOUNT into /etc/fstab"
  fi
  if grown "$device"; then
    resize2fs "$device" || log "growing the file system of $device failed; it is tried again at the next boot"
  fi
  if ! mountpoint -q "$MOUNT"; then
    # By device: udev may not have made the link of the UUID yet.
    mount -t ext4 -o noatime "$device" "$MOUNT"
    log "mounted $device on $MOUNT"
  fi
  [[ $(readlink -f "$(findmnt -n -o SOURCE "$MOUNT")") == "$device" ]] || die "$MOUNT is a mount of something else than $device"
  [[ $(stat -c %u:%g "$MOUNT") == $EMQX_UID:$EMQX_UID ]] || chown "$EMQX_UID:$EMQX_UID" "$MOUNT"

  mkdir -p "${LINK%/*}"
  if [[ $(readlink "$LINK" || true) != "$MOUNT" ]]; then
    [[ ! -e $LINK || -L $LINK ]] || die "$LINK exists and is no link to $MOUNT"
    ln -sfn "$MOUNT" "$LINK"
    log "linked $LINK to $MOUNT"
  fi
}

# ------------------------------------------------------------------- system

# One connection is two files in HAProxy, one in EMQX, and up to two local ports.
# The limits are EMQX's tuning guide's; the kernel keeps the ports in use here.
tune_kernel() {
  local key value was
  # Without the module its settings do not exist; at a boot it is loaded before they are set.
  put /etc/modules-load.d/emqx.conf 644 <<<nf_conntrack || true
  modprobe -q nf_conntrack || log "the kernel does not load nf_conntrack"
  put /etc/sysctl.d/90-emqx.conf 644 <<END || true
fs.file-max = 2097152
fs.nr_open = $((NOFILE > 2097152 ? NOFILE : 2097152))
net.core.somaxconn = 32768
net.core.netdev_max_backlog = 16384
net.core.rmem_default = 262144
net.core.wmem_default = 262144
net.core.rmem_max = 16777216
net.core.wmem_max = 16777216
net.core.optmem_max = 16777216
net.ipv4.tcp_max_syn_backlog = 16384
net.ipv4.ip_local_port_range = 1024 65535
net.ipv4.ip_local_reserved_ports = $RESERVED_PORTS
net.ipv4.tcp_rmem = 1024 4096 16777216
net.ipv4.tcp_wmem = 1024 4096 16777216
net.ipv4.tcp_max_tw_buckets = 1048576
net.ipv4.tcp_fin_timeout = 15
net.netfilter.nf_conntrack_max = 1000000
net.netfilter.nf_conntrack_tcp_timeout_time_wait = 30
vm.swappiness = 1
END
  while IFS=' =' read -r key value; do
    was=$(sysctl -n "$key" 2>/dev/null | tr '\t' ' ') || true
    [[ $was != "$value" ]] || continue
    sysctl -q -w "$key=$value" >/dev/null 2>&1 || log "the kernel refuses $key = $value (it is: ${was:-not there})"
  done </etc/sysctl.d/90-emqx.conf
}

# Oracle Linux leaves the room of a boot volume that is larger than its image unused;
# Ubuntu's cloud-init takes it. Exit code 1 is both "no room left" and a failure.
grow_root() {
  [[ -x /usr/libexec/oci-growfs ]] || return 0
  /usr/libexec/oci-growfs -y || log "oci-growfs took no room: NOCHANGE above means that there is none"
}

# OCI's images close every port but SSH. Here the network security groups are the
# firewall; rules for OCI's own services (boot volume, metadata) stay.
open_firewall() {
  local chain rules=/etc/iptables/rules.v4
  if have firewall-cmd && systemctl is-active --quiet firewalld; then
    systemctl disable --now firewalld
    log "stopped firewalld"
  fi
  if [[ -f $rules ]] && grep -qE '^-A (INPUT|FORWARD) -j REJECT' "$rules"; then
    for chain in INPUT FORWARD; do
      while iptables -D "$chain" -j REJECT --reject-with icmp-host-prohibited 2>/dev/null; do :; done
    done
    sed -i -E '/^-A (INPUT|FORWARD) -j REJECT/d' "$rules"
    log "removed the REJECT rules of $rules"
  fi
}

# confine_containers: containers have the host's network, and would reach what tells or does
# everything: the metadata service (user data, the instance's certificates) and the agents,
# here and on servers. Names stay: port 53 of the same address, Consul's DNS on 8600. Their
# own API the tasks have at a socket. Only what matches is refused: the kernel's own packets
# have no user.
confine_containers() {
  put /etc/emqx-containers.nft 644 <<END || true
table inet emqx_containers
delete table inet emqx_containers
table inet emqx_containers {
  chain output {
    type filter hook output priority filter; policy accept;
    meta skuid { $HAPROXY_UID, $EMQX_UID } ip daddr 169.254.0.0/16 meta l4proto { tcp, udp } th dport != 53 reject
    meta skuid { $HAPROXY_UID, $EMQX_UID } meta l4proto { tcp, udp } th dport { 4646-4648, 8300-8302, 8500-8503 } reject
  }
}
END
  nft -f /etc/emqx-containers.nft || die "nft does not take /etc/emqx-containers.nft: containers would reach the agents and the metadata service"
}

resolved() { systemctl is-active --quiet systemd-resolved; }

# Names in .consul come from the local agent, all others from where they came.
resolve_consul() {
  if resolved; then
    if put /etc/systemd/resolved.conf.d/consul.conf 644 <<<$'[Resolve]\nDNS=127.0.0.1:8600\nDNSSEC=false\nDomains=~consul'; then
      systemctl restart systemd-resolved
    fi
    return
  fi
  local upstream=/etc/emqx-resolv.conf restart=0
  if have nmcli && [[ -d /etc/NetworkManager/conf.d ]]; then
    # Or it would write /etc/resolv.conf again.
    if put /etc/NetworkManager/conf.d/90-emqx-dns.conf 644 <<<$'[main]\ndns=none'; then
      nmcli general reload conf
    fi
  fi
  if ! grep -q '^nameserver 127\.0\.0\.1$' /etc/resolv.conf; then
    put "$upstream" 644 </etc/resolv.conf && restart=1
  fi
  put /etc/dnsmasq.d/consul.conf 644 <<END && restart=1
listen-address=127.0.0.1
bind-interfaces
no-negcache
resolv-file=$upstream
server=/consul/127.0.0.1#8600
END
  if ((restart)) || ! systemctl is-active --quiet dnsmasq; then
    systemctl enable dnsmasq
    systemctl restart dnsmasq
  fi
  { echo 'nameserver 127.0.0.1'; grep -E '^(search|domain|options)' "$upstream" || true; } | put_resolv
}

# A link would lead elsewhere.
put_resolv() {
  [[ ! -L /etc/resolv.conf ]] || rm -f /etc/resolv.conf
  put /etc/resolv.conf 644 || true
}

# unit_limits UNIT FILES: true when the drop-in changed. An agent is ready for systemd when
# it has found its servers: how long that may take is for this script to say, and why it
# takes long.
unit_limits() {
  put "/etc/systemd/system/$1.service.d/emqx.conf" 644 <<<$'[Service]\nTimeoutStartSec=infinity\nLimitNOFILE='"$2" || return 1
  systemctl daemon-reload
}

# start UNIT CHANGED: restarts a unit whose files changed, starts one that is down. It does
# not wait until the unit is ready, but it does until the one of before is gone: that one
# would answer for it.
start() {
  local did=started
  if (($2)); then
    systemctl stop "$1"
    did=restarted
  elif systemctl is-active --quiet "$1"; then
    return 0
  fi
  systemctl start --no-block "$1"
  log "$did $1"
}

start_docker() {
  local changed=0
  unit_limits docker "$NOFILE" && changed=1
  # Restarting it would stop the containers of a running node.
  if systemctl is-active --quiet docker && [[ -n $(docker ps -q 2>/dev/null) ]]; then
    ((changed == 0)) || log "docker runs containers: its new limits hold from its next start on"
    changed=0
  fi
  start docker "$changed"
  until_true 120 docker docker info >/dev/null
}

# secret OCID SETTING: the content of a secret of the vault goes to $SCRATCH/secret.
secret() {
  local bundle
  bundle=$(cloud secrets secret-bundle get --secret-id "$1") ||
    die "asking for the secret $2 failed (do the dynamic group and its policy let this instance read secret-bundles?)"
  jq -r '."secret-bundle-content".content | @base64d' <<<"$bundle" >"$SCRATCH/secret" || die "the secret $2 holds no text"
}

# agent_secret AGENT OCID FIELDS: what the vault has for an agent, as one object that has no
# other fields, goes to $SCRATCH/AGENT; an empty one without a secret, for the image may
# have files that do the same. It is true when certificates changed.
agent_secret() {
  local agent=$1 field changed=1
  if [[ -z $2 ]]; then
    echo '{}' >"$SCRATCH/$agent"
    return 1
  fi
  secret "$2" "$agent.agentSecret"
  jq -e --arg fields "$3" '
    type == "object" and keys - ($fields | split(" ")) == []
    and all(to_entries[]; if .key == "autoEncrypt" then .value | type == "boolean" else .value | type == "string" and . != "" end)
    and has("certificate") == has("privateKey")' "$SCRATCH/secret" >/dev/null 2>&1 ||
    die "the secret $agent.agentSecret is no JSON object of $3, with the certificate and its key both or none"
  mv "$SCRATCH/secret" "$SCRATCH/$agent"
  for field in ca certificate privateKey; do
    if ! jq -e --arg f "$field" 'has($f)' "$SCRATCH/$agent" >/dev/null; then
      rm -f "/etc/$agent.d/emqx-$field.pem"
    elif jq -r --arg f "$field" '.[$f]' "$SCRATCH/$agent" | put "/etc/$agent.d/emqx-$field.pem" 640; then
      changed=0
    fi
  done
  belongs "$agent" "/etc/$agent.d"/emqx-*.pem
  return "$changed"
}

# belongs AGENT FILES: what its own group may read, and nobody else; a package may run an
# agent as a user of its own.
belongs() {
  local group=root
  if getent group "$1" >/dev/null; then group=$1; fi
  chgrp "$group" "${@:2}" 2>/dev/null || true
}

# token_file FILE HEADER AGENT FIELD: a token as a header for curl, or none of it.
token_file() {
  if jq -e --arg f "$4" 'has($f)' "$SCRATCH/$3" >/dev/null; then
    jq -r --arg f "$4" --arg h "$2" '"\($h): \(.[$f])"' "$SCRATCH/$3" | put "$1" 600 || true
  fi
}

# Address, name and id of the agent outlive the instance: a relaunched one is the
# same node to Consul at once, and not a second one with a taken name. EMQX asks for its
# members without EDNS: unless the agent says that an answer is cut short, and there
# are more by TCP, EMQX takes three of them for all.
start_consul() {
  local changed=0 h config
  h=$(printf 'emqx-oci/%s/%s' "$EMQX_ENV" "$EMQX_INDEX" | sha1sum)
  unit_limits consul 65536 && changed=1
  config=$(jq -n --arg dc "$DATACENTER" --arg node "$NODE" --arg addr "$ADDRESS" --argjson join "$CONSUL_SERVERS" \
    --arg id "${h:0:8}-${h:8:4}-5${h:13:3}-a${h:17:3}-${h:20:12}" '{
      server: false, datacenter: $dc, node_name: $node, node_id: $id, data_dir: "/opt/consul",
      bind_addr: $addr, advertise_addr: $addr, client_addr: "127.0.0.1",
      retry_join: $join, retry_interval: "5s", leave_on_terminate: true, rejoin_after_leave: true,
      disable_update_check: true, dns_config: {enable_truncate: true}
    }')
  put /etc/consul.d/emqx.json 644 <<<"$config" && changed=1
  secure_consul && changed=1
  start consul "$changed"
  until_true 300 "Consul (are its servers reachable: $CONSUL_SERVERS?)" consul_ready
  # What an earlier instance end left: see end_tasks.
  if consul_api /v1/agent/checks 2>/dev/null | jq -e 'has("_node_maintenance")' >/dev/null; then
    consul_api '/v1/agent/maintenance?enable=false' -X PUT || die "Consul keeps this node in maintenance: consul maint -disable"
    log "the node is out of maintenance"
  fi
}

# secure_consul writes what the vault's secret says of gossip, TLS and ACLs; true when that
# changed anything.
secure_consul() {
  local changed=1
  agent_secret consul "$CONSUL_SECRET" "gossipKey ca certificate privateKey autoEncrypt agentToken defaultToken" && changed=0
  if [[ -z $CONSUL_SECRET ]]; then return "$changed"; fi
  jq '{
      encrypt: .gossipKey,
      tls: (if .ca then {
        defaults: ({ca_file: "/etc/consul.d/emqx-ca.pem", verify_outgoing: true} + if .certificate then {
          cert_file: "/etc/consul.d/emqx-certificate.pem", key_file: "/etc/consul.d/emqx-privateKey.pem"} else {} end),
        internal_rpc: {verify_server_hostname: true}} else null end),
      auto_encrypt: (if .autoEncrypt then {tls: true} else null end),
      acl: (if .agentToken or .defaultToken then {
        enabled: true, default_policy: "deny", tokens: ({agent: .agentToken, default: .defaultToken} | map_values(values))} else null end)
    } | map_values(values)' "$SCRATCH/consul" | put /etc/consul.d/emqx-secret.json 640 && changed=0
  belongs consul /etc/consul.d/emqx-secret.json
  token_file "$CONSUL_TOKEN" X-Consul-Token consul agentToken
  return "$changed"
}

consul_ready() { [[ $(consul_api /v1/status/leader 2>/dev/null) == *:* ]]; }

# registry_auth puts the Vault's secret where the driver reads it at every pull: another
# version of it needs another run of this script, but no restart of Nomad.
registry_auth() {
  if [[ -z $REGISTRY_AUTH ]]; then
    rm -f "$REGISTRIES"
    return
  fi
  secret "$REGISTRY_AUTH" nodes.registryAuth
  jq -e '.auths | type == "object"' "$SCRATCH/secret" >/dev/null 2>&1 ||
    die 'the secret nodes.registryAuth is not what docker login writes: {"auths": {"<registry>": {"auth": "..."}}}'
  put "$REGISTRIES" 600 <"$SCRATCH/secret" || true
}

# Nomad keeps the allocations when it stops: a restart of the agent is no restart of
# the broker. Images stay: one that the registry lost must still start.
start_nomad() {
  local changed=0 config
  # The package's file makes every machine a server.
  if [[ -f /etc/nomad.d/nomad.hcl ]] && ! grep -q emqx-boot /etc/nomad.d/nomad.hcl; then
    cp /etc/nomad.d/nomad.hcl /etc/nomad.d/nomad.hcl.package
    put /etc/nomad.d/nomad.hcl 644 <<<'# Emptied by emqx-boot, whose settings are in emqx.json.' && changed=1
  fi
  unit_limits nomad 65536 && changed=1
  agent_secret nomad "$NOMAD_SECRET" "ca certificate privateKey token" && changed=1
  token_file "$NOMAD_TOKEN" X-Nomad-Token nomad token
  # Its API is for this node alone: servers ask an agent through the connection that it keeps to them.
  config=$(jq -n --slurpfile nomad "$SCRATCH/nomad" --slurpfile consul "$SCRATCH/consul" --arg method "$AUTH_METHOD" --arg region "$NOMAD_REGION" --arg dc "$DATACENTER" --arg node "$NODE" --arg addr "$ADDRESS" --arg nic "$INTERFACE" \
    --arg auth "${REGISTRY_AUTH:+$REGISTRIES}" \
    --arg env "$EMQX_ENV" --arg i "$EMQX_INDEX" --arg path "$LINK" --arg kill "$MAX_KILL_TIMEOUT" \
    --argjson join "$NOMAD_SERVERS" --argjson min "$PORT_MIN" --argjson max "$PORT_MAX" '{
      region: $region, datacenter: $dc, name: $node, data_dir: "/opt/nomad/data", bind_addr: $addr,
      addresses: {http: "127.0.0.1"}, advertise: {http: $addr},
      leave_on_terminate: false, leave_on_interrupt: false, disable_update_check: true,
      server: {enabled: false},
      client: {
        enabled: true, network_interface: $nic, server_join: {retry_join: $join, retry_interval: "5s"},
        meta: {pool_type: "emqx", "group-index": $i, emqx_cluster: $env},
        host_volume: {"emqx[\($i)]": {path: $path, read_only: false}},
        host_network: {emqx: {cidr: ($addr + "/32")}},
        max_kill_timeout: $kill, min_dynamic_port: $min, max_dynamic_port: $max,
        options: {"fingerprint.denylist": "env_aws,env_gce,env_azure,env_digitalocean"}
      },
      consul: ({address: "127.0.0.1:8500", auto_advertise: false, client_auto_join: false}
        + if $consul[0].agentToken then {token: $consul[0].agentToken} else {} end
        + if $method == "" then {} else {service_auth_method: $method, task_auth_method: $method} end),
      telemetry: {publish_allocation_metrics: true, publish_node_metrics: true, prometheus_metrics: true},
      plugin: [{docker: [{config: [{gc: [{image: false}]} + if $auth == "" then {} else {auth: [{config: $auth}]} end]}]}]
    }
    + if $nomad[0].ca then {tls: ({
        rpc: true, http: false, ca_file: "/etc/nomad.d/emqx-ca.pem", verify_server_hostname: true
      } + if $nomad[0].certificate then {
        cert_file: "/etc/nomad.d/emqx-certificate.pem", key_file: "/etc/nomad.d/emqx-privateKey.pem"} else {} end)} else {} end
    + if $nomad[0].token then {acl: {enabled: true}} else {} end')
  put /etc/nomad.d/emqx.json 600 <<<"$config" && changed=1
  INTRODUCE_AT=$((SECONDS + 30))
  if [[ -r $NOMAD_TOKEN && ! -e /opt/nomad/data/client/state.db ]]; then introduce || true; fi
  start nomad "$changed"
  until_true 300 "Nomad (are its servers reachable: $NOMAD_SERVERS?)" nomad_joined
  rm -f "$INTRODUCTION"
  forget_predecessors
}

# nomad_joined: the agent is well, and its servers know it. Until they do, it forwards nothing.
nomad_joined() {
  local own
  nomad_ready || return 1
  if [[ ! -r $NOMAD_TOKEN ]] || ! own=$(cat /opt/nomad/data/client/client-id); then return 0; fi
  nomad_api "/v1/node/$own" --max-time 5 -o /dev/null 2>"$SCRATCH/said" && return 0
  # A token without node:read cannot tell.
  [[ $(<"$SCRATCH/said") != *' 403' ]] || return 0
  # An identity that ended while the instance was off: the agent forgets it when it is refused
  # without an introduction at hand.
  if ((SECONDS >= INTRODUCE_AT)); then
    INTRODUCE_AT=$((SECONDS + 60))
    if introduce; then systemctl restart --no-block nomad; fi
  fi
  return 1
}

# introduce: servers may let in only nodes that somebody with node:write introduces. The agent reads
# that when it starts, once, so that it is asked for before: of the servers, by their API, whose
# certificates have the name that Nomad gives servers.
introduce() {
  local server host name="server.$NOMAD_REGION.nomad" scheme=http tls=() introduction
  if [[ -r /etc/nomad.d/emqx-ca.pem ]]; then
    scheme=https tls=(--cacert /etc/nomad.d/emqx-ca.pem)
    if [[ -r /etc/nomad.d/emqx-certificate.pem ]]; then tls+=(--cert /etc/nomad.d/emqx-certificate.pem --key /etc/nomad.d/emqx-privateKey.pem); fi
  fi
  for server in $(jq -r '.[]' <<<"$NOMAD_SERVERS"); do
    host=$server
    if [[ $server =~ ^(.*[^:]):[0-9]+$ && ($server != *:*:* || $server == *]:*) ]]; then host=${BASH_REMATCH[1]}; fi
    if introduction=$(jq -n --arg node "$NODE" '{NodeName: $node}' |
      agent_api "$NOMAD_TOKEN" "$scheme://$name:4646/v1/acl/identity/client-introduction-token" --connect-to "$name:4646:$host:4646" "${tls[@]}" -X POST -d @- |
      jq -er .JWT); then
      put "$INTRODUCTION" 600 <<<"$introduction" || true
      log "introduced by Nomad's server $host"
      return 0
    fi
  done
  log "no server of Nomad introduces this node, which is needed where they demand it (4646 of $NOMAD_SERVERS)"
  return 1
}

# What Nomad still knows under this name was an instance that OCI says is gone, or this
# one would not have the volume. Nomad looks for a place for what ran there once, seconds
# after it missed a heartbeat, and then no more until lost_after of the jobs: an
# instance takes longer to come. Purged, it is placed at once. Where Nomad has ACLs this
# needs a token with node:write, which only the image can bring.
forget_predecessors() {
  local own ids id
  own=$(cat /opt/nomad/data/client/client-id) || return 0
  ids=$(nomad_api /v1/nodes | jq -r --arg name "$NODE" --arg own "$own" '.[] | select(.Name == $name and .ID != $own) | .ID') ||
    { log "not asking Nomad for earlier instances of $NODE: no answer, or no right to it" && return 0; }
  for id in $ids; do
    if nomad_api "/v1/node/$id/purge" -X POST >/dev/null; then
      log "Nomad forgot $id, an earlier instance of $NODE"
    else
      log "Nomad does not forget $id, an earlier instance of $NODE, whose work waits for that: nomad operator api -X POST /v1/node/$id/purge"
    fi
  done
}

nomad_ready() {
  curl -fsS --max-time 5 "$NOMAD/v1/agent/health?type=client" 2>/dev/null | jq -e '.client.ok' >/dev/null 2>&1
}

# end_tasks is the last of an instance that ends by itself: Nomad's agent has stopped and
# left its tasks running; Docker, Consul, DNS and the network wait for this. As in a stop by
# Nomad, no service of the node is to be found first: 9 s later no HAProxy sends new clients here
# (ADR 0021). By maintenance, as the node may write its own entry, and no service. Then EMQX moves those that it has. HAProxy's own script gives the balancer its time.
end_tasks() {
  local emqx haproxy
  emqx=$(tasks emqx)
  haproxy=$(tasks haproxy)
  log "the instance ends: stopping ${emqx:-no EMQX} and ${haproxy:-no HAProxy}"
  consul_api '/v1/agent/maintenance?enable=true&reason=the+instance+ends' -X PUT || log "Consul keeps the services of this node"
  # shellcheck disable=SC2086 # Each is one word or none.
  {
    [[ -z $haproxy ]] || docker kill -s TERM $haproxy || true
    [[ -z $emqx ]] || { sleep 10 && docker kill -s TERM $emqx; } || true
    [[ -z $emqx$haproxy ]] || timeout "$MAX_KILL_TIMEOUT" docker wait $emqx $haproxy || log "they do not end: Docker kills them"
  } >/dev/null
  log "nothing runs here any more"
}

tasks() { docker ps -q --filter label=com.hashicorp.nomad.alloc_id --filter "name=^/?$1-" || true; }

# install is all that cloud-init waits for: cloud-final comes after multi-user.target, so
# to enable a unit there starts nothing, and cloud-init runs user data once. Address and
# mount come first at every boot, so Consul, Nomad and emqx-address are not enabled:
# emqx-boot starts them. It is no oneshot, which multi-user.target would wait for. At the
# end of the instance emqx-drain stops between Nomad and all that it is after.
install() {
  put "$SELF" 755 <"$0" || true
  put /etc/systemd/system/emqx-boot.service 644 <<END || true
[Unit]
Description=Claims volume and address of the EMQX node, starts Consul and Nomad
Wants=network-online.target
After=network-online.target remote-fs.target dnsmasq.service docker.service
StartLimitIntervalSec=0

[Service]
Type=exec
RemainAfterExit=yes
ExecStart=$SELF service
Restart=on-failure
RestartSec=10
StandardOutput=journal+console
StandardError=inherit

[Install]
WantedBy=multi-user.target
END
  put /etc/systemd/system/emqx-address.service 644 <<END || true
[Unit]
Description=Keeps the reserved address of the EMQX node on its interface
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart=$SELF address
Restart=always
RestartSec=1
END
  put /etc/systemd/system/emqx-drain.service 644 <<END || true
[Unit]
Description=Moves the clients of the EMQX node to others when the instance ends
After=network-online.target nss-lookup.target remote-fs.target containerd.service docker.service consul.service dnsmasq.service systemd-resolved.service emqx-address.service
Before=nomad.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/true
ExecStop=$SELF end
TimeoutStopSec=$((${MAX_KILL_TIMEOUT%s} + 60))

[Install]
WantedBy=multi-user.target
END
  systemctl daemon-reload
  systemctl enable emqx-boot emqx-drain
  systemctl start --no-block emqx-boot emqx-drain
}

# until_done is emqx-boot.service: it tries for ever. systemd's own pauses grow from version
# 254 on only, and Oracle Linux 9 has 252.
until_done() {
  local pause=10
  until "$SELF"; do
    log "trying again in $pause s; at once: systemctl restart emqx-boot" 2>&1 | tee -a "$LOG"
    sleep "$pause"
    pause=$((pause < 150 ? pause * 2 : 300))
  done
}

main() {
  log "booting $NODE"
  [[ $EUID == 0 ]] || die "must run as root"
  mkdir -p "${DONE%/*}"
  trap 'failed "$BASH_COMMAND"' ERR
  SCRATCH=$(mktemp -d)
  trap 'rm -rf "$SCRATCH"' EXIT
  grow_root
  install_packages

  local instance vnic
  instance=$(metadata instance/)
  vnic=$(metadata vnics/ | jq -c '.[0]')
  INSTANCE=$(field "$instance" id)
  COMPARTMENT=$(field "$instance" compartmentId)
  DOMAIN=$(field "$instance" availabilityDomain)
  VNIC=$(field "$vnic" vnicId)
  PRIMARY=$(field "$vnic" privateIp)
  PREFIX=$(field "$vnic" subnetCidrBlock | cut -d/ -f2)

  tune_kernel
  open_firewall
  confine_containers
  claim_volume
  mount_volume
  claim_address
  configure_address
  start_consul
  resolve_consul
  start_docker
  registry_auth
  start_nomad
  tell ''
  sha256sum <"$0" | put "$DONE" 644 || true
  log "done: $NODE is $ADDRESS, its volume is on $MOUNT"
}

run() {
  # One run at a time: the service's, and one by hand.
  exec 9>/run/emqx-boot.lock
  flock -n 9 || { log "another run is under way: waiting for its end" && flock 9; }
  main 2>&1 9>&- | tee -a "$LOG"
}

case ${1:-} in
  service) until_done ;;
  address) hold_address ;;
  end) end_tasks 2>&1 | tee -a "$LOG" ;;
  *) if [[ $0 == "$SELF" ]]; then run; else install; fi ;;
esac
