#!/usr/bin/env bash
# A real Kubernetes cluster without a container engine: etcd and the control plane as processes of this host, and nodes
# (containerd, runc, kubelet, kube-proxy), each in namespaces of its own, joined by a bridge. Ready in about ten seconds.
#
# usage: cluster.sh up [NODES] | down | load IMAGE.tar... | env
#        cluster.sh hold [NODES]    up, then "ready" on standard output; down when standard input ends
#        cluster.sh control stop|start [PROGRAM]...   the control plane, or some of its programs, for a while
#        cluster.sh node stop|start NAME              a node, as if its power were cut; who runs is not started twice
#
# One cluster at a time: names and addresses below are fixed. Needs root, and what setup.sh makes.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/place.sh"

PKI=$STATE/pki
BRIDGE=barrage0      # and barrage1, … for the nodes' ends
NAMESPACE=barrage-node
NETWORK=10.98.0      # .1 this host, .2 the first node, which also serves DNS
PODS=10.243          # .N.0/24 on node N
SERVICES=10.97.0.0/16
API=$NETWORK.1:6443
ETCD=127.0.0.1:23780
ETCD_PEER=127.0.0.1:23781
CGROUP=barrage-e2e
export PKI NETWORK PODS CGROUP

fail() { echo "cluster.sh: $*" >&2; exit 1; }
# Closes the lock for what outlives this script: it is for whoever holds the cluster.
start() {
  local name=$1
  shift
  setsid "$@" >>"$STATE/log/$name.log" 2>&1 </dev/null 9>&- &
  echo $! >"$STATE/pids/$name"
  # So that nobody is told of its end.
  disown
}
api() { curl -fsS -m 5 --cacert "$PKI/ca.crt" --cert "$PKI/admin.crt" --key "$PKI/admin.key" "https://$API$1" 2>/dev/null; }

# await PROGRAM WHAT COMMAND...: until COMMAND succeeds; not longer than PROGRAM lives.
await() {
  local program=$1 what=$2
  shift 2
  for _ in $(seq 1200); do
    if "$@" >/dev/null 2>&1; then return; fi
    kill -0 "$(cat "$STATE/pids/$program")" 2>/dev/null || { tail -5 "$STATE/log/$program.log" >&2; fail "$program died"; }
    sleep 0.05
  done
  fail "$what: not within 60 s; see $STATE/log"
}

make_key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"; }

# certificate NAME SUBJECT USES [ALTERNATIVE NAMES]
certificate() {
  make_key "$1"
  {
    echo "keyUsage=critical,digitalSignature"
    echo "extendedKeyUsage=$3"
    if [[ -n ${4:-} ]]; then echo "subjectAltName=$4"; fi
  } >request.ext
  openssl req -new -key "$1.key" -subj "$2" -out request.csr
  openssl x509 -req -in request.csr -CA ca.crt -CAkey ca.key -set_serial "0x$(openssl rand -hex 8)" -days 30 \
    -extfile request.ext -out "$1.crt" 2>/dev/null
}

kubeconfig() {
  cat >"$1.kubeconfig" <<K
apiVersion: v1
kind: Config
clusters: [{name: tests, cluster: {server: "https://$API", certificate-authority-data: $(base64 -w0 <ca.crt)}}]
users: [{name: tests, user: {client-certificate-data: $(base64 -w0 <"$1.crt"), client-key-data: $(base64 -w0 <"$1.key")}}]
contexts: [{name: tests, context: {cluster: tests, user: tests}}]
current-context: tests
K
}

make_identities() {
  local names="DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local"
  mkdir -p "$PKI"
  cd "$PKI"
  make_key ca
  openssl req -x509 -new -key ca.key -subj /CN=barrage-tests -days 30 -out ca.crt \
    -addext keyUsage=critical,keyCertSign,cRLSign,digitalSignature
  certificate apiserver /CN=kube-apiserver serverAuth "$names,IP:127.0.0.1,IP:10.97.0.1,IP:$NETWORK.1"
  certificate kubelet-client /O=system:masters/CN=kube-apiserver-kubelet-client clientAuth
  certificate admin /O=system:masters/CN=admin clientAuth
  for name in kube-controller-manager kube-scheduler kube-proxy; do certificate $name /CN=system:$name clientAuth; done
  for name in admin kube-controller-manager kube-scheduler kube-proxy; do kubeconfig $name; done
  for n in $(seq "$1"); do
    certificate "node$n" "/O=system:nodes/CN=system:node:node$n" clientAuth,serverAuth "DNS:node$n,IP:$NETWORK.$((n + 1))"
    kubeconfig "node$n"
  done
  openssl genrsa -out service-accounts.key 2048 2>/dev/null
  openssl rsa -in service-accounts.key -pubout -out service-accounts.pub 2>/dev/null
  cd "$here"
}

# Who writes what, so that a test can count it.
AUDIT_POLICY='
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: None, userGroups: ["system:nodes", "system:masters"]}
- {level: Metadata, userGroups: ["system:serviceaccounts"]}
- {level: None}'

start_etcd() {
  start etcd "$BIN/etcd" --name=tests --data-dir="$STATE/etcd" --unsafe-no-fsync --log-level=warn \
    --listen-client-urls=http://$ETCD --advertise-client-urls=http://$ETCD --listen-peer-urls=http://$ETCD_PEER \
    --initial-advertise-peer-urls=http://$ETCD_PEER --initial-cluster=tests=http://$ETCD_PEER
}

start_apiserver() {
  start kube-apiserver "$BIN/kube-apiserver" --etcd-servers=http://$ETCD \
    --bind-address="${API%:*}" --advertise-address="${API%:*}" --secure-port="${API#*:}" \
    --tls-cert-file="$PKI/apiserver.crt" --tls-private-key-file="$PKI/apiserver.key" --client-ca-file="$PKI/ca.crt" \
    --kubelet-client-certificate="$PKI/kubelet-client.crt" --kubelet-client-key="$PKI/kubelet-client.key" \
    --kubelet-certificate-authority="$PKI/ca.crt" --kubelet-preferred-address-types=InternalIP \
    --service-account-issuer=https://kubernetes.default.svc.cluster.local \
    --service-account-key-file="$PKI/service-accounts.pub" --service-account-signing-key-file="$PKI/service-accounts.key" \
    --service-cluster-ip-range=$SERVICES --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction \
    --audit-policy-file="$STATE/audit-policy.yaml" --audit-log-path="$STATE/log/audit.log"
}

start_controllers() {
  # Pods leave a dead node after seconds, so that a test need not wait for the usual minutes.
  start kube-controller-manager "$BIN/kube-controller-manager" --kubeconfig="$PKI/kube-controller-manager.kubeconfig" \
    --authentication-kubeconfig="$PKI/kube-controller-manager.kubeconfig" \
    --authorization-kubeconfig="$PKI/kube-controller-manager.kubeconfig" \
    --kube-api-qps=1000 --kube-api-burst=1000 --bind-address=127.0.0.1 --leader-elect=false \
    --use-service-account-credentials=true --service-account-private-key-file="$PKI/service-accounts.key" \
    --root-ca-file="$PKI/ca.crt" --node-monitor-grace-period=15s
}

start_scheduler() {
  start kube-scheduler "$BIN/kube-scheduler" --kubeconfig="$PKI/kube-scheduler.kubeconfig" \
    --authentication-kubeconfig="$PKI/kube-scheduler.kubeconfig" \
    --authorization-kubeconfig="$PKI/kube-scheduler.kubeconfig" \
    --kube-api-qps=1000 --kube-api-burst=1000 --bind-address=127.0.0.1 --leader-elect=false
}

start_control_plane() {
  start_etcd
  await etcd "etcd serves" curl -fs http://$ETCD/health
  start_apiserver
  await kube-apiserver "the API server serves" api /readyz
  start_controllers
  start_scheduler
  await kube-controller-manager "service accounts are made" api /api/v1/namespaces/default/serviceaccounts/default
}

# connect_node N NODES: a network namespace with a leg on the bridge and ways to all pods.
connect_node() {
  local n=$1 other inside="nsenter --net=/run/netns/$NAMESPACE$1"
  ip netns add "$NAMESPACE$n"
  ip link add "barrage$n" type veth peer name eth0 netns "$NAMESPACE$n"
  ip link set "barrage$n" master $BRIDGE up
  $inside ip link set lo up
  $inside ip addr add "$NETWORK.$((n + 1))/24" dev eth0
  $inside ip link set eth0 up
  $inside ip route add default via $NETWORK.1
  $inside sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
  for other in $(seq "$2"); do
    [[ $other == "$n" ]] || $inside ip route add "$PODS.$other.0/24" via "$NETWORK.$((other + 1))"
  done
  ip route add "$PODS.$n.0/24" via "$NETWORK.$((n + 1))"
}

start_node() {
  local n=$1 hierarchy
  for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/*/; do
    if [[ -e $hierarchy/cgroup.procs ]]; then mkdir -p "$hierarchy/$CGROUP/node$n"; fi
  done
  NODE=node$n NODE_IP=$NETWORK.$((n + 1)) POD_NETWORK=$PODS.$n.0/24 start "node$n" \
    nsenter --net="/run/netns/$NAMESPACE$n" unshare --mount --pid --fork --kill-child=SIGKILL --mount-proc \
    bash "$here/node.sh"
}

node_is_ready() { api "/api/v1/nodes/$1" | python3 -c '
import json, sys
conditions = json.load(sys.stdin)["status"]["conditions"]
sys.exit(not any(one["type"] == "Ready" and one["status"] == "True" for one in conditions))'; }

up() {
  local nodes=${1:-1} n
  [[ $EUID -eq 0 ]] || fail "needs root, for namespaces and cgroups: sudo, or a container with all capabilities"
  [[ -x $BIN/kubernetes ]] || fail "not set up yet: $here/setup.sh"
  [[ ! -e $STATE/pids ]] || fail "a cluster is up, or was left by a crash; cluster.sh down first"
  mkdir -p "$STATE"/{log,pids}
  echo "$AUDIT_POLICY" >"$STATE/audit-policy.yaml"
  make_identities "$nodes"
  ip link add $BRIDGE type bridge
  ip addr add $NETWORK.1/24 dev $BRIDGE
  ip link set $BRIDGE up
  start_control_plane
  for n in $(seq "$nodes"); do connect_node "$n" "$nodes"; start_node "$n"; done
  ip route add $SERVICES via $NETWORK.2
  for n in $(seq "$nodes"); do await "node$n" "node$n is ready" node_is_ready "node$n"; done
}

# end PROGRAM: and, for a node, all that runs on it: they die with the first process of their namespace.
end() {
  local file=$STATE/pids/$1 pid
  [[ -e $file ]] || return 0
  pid=$(cat "$file")
  # Only what this script started: after a crash the number may be another's.
  if grep -qsa -e "$BIN/" -e "$here/node.sh" "/proc/$pid/cmdline"; then
    kill -KILL "$pid" 2>/dev/null || true
    while kill -0 "$pid" 2>/dev/null && ! grep -qs '^State:.*Z' "/proc/$pid/status"; do sleep 0.02; done
  fi
  rm -f "$file"
}

remove_cgroups() {
  for _ in $(seq 100); do
    find /sys/fs/cgroup -depth -type d -path "*/$CGROUP*" -exec rmdir {} + 2>/dev/null || true
    [[ -n $(find /sys/fs/cgroup -maxdepth 2 -type d -name $CGROUP 2>/dev/null) ]] || return 0
    sleep 0.1
  done
  echo "cluster.sh: processes are left in the cgroup $CGROUP" >&2
}

down() {
  local file name
  for file in "$STATE"/pids/node* "$STATE"/pids/*; do end "${file##*/}"; done
  for name in $(ip netns list | awk -v prefix="$NAMESPACE" 'index($1, prefix) == 1 {print $1}'); do ip netns del "$name"; done
  for name in $(ip -br link | awk -F'[@ ]' '/^barrage[0-9]+/{print $1}'); do ip link del "$name" 2>/dev/null || true; done
  remove_cgroups
  rm -rf "$STATE"
}

# For whoever holds the other end of standard input: the cluster goes with it, however it ends.
hold() {
  mkdir -p "$CACHE"
  exec 9>"$CACHE/cluster.lock"
  flock 9
  down
  trap down EXIT
  up "${1:-1}"
  echo ready
  cat >/dev/null
}

# Images into one node or all of them; together, as each node unpacks on its own.
load() {
  local socket importing=()
  for socket in "$STATE"/node*/containerd.sock; do
    for image in "$@"; do "$DEBIAN/usr/bin/ctr" -a "$socket" -n k8s.io images import "$image" >/dev/null; done &
    importing+=($!)
  done
  for pid in "${importing[@]}"; do wait "$pid"; done
}

control() {
  local order=$1 name
  shift
  for name in "${@:-kube-apiserver}"; do
    [[ $order-$name == start-* && -e $STATE/pids/$name ]] && continue
    case $order-$name in
      stop-*) end "$name" ;;
      start-kube-apiserver) start_apiserver; await kube-apiserver "the API server serves" api /readyz ;;
      start-kube-controller-manager) start_controllers ;;
      start-kube-scheduler) start_scheduler ;;
      *) fail "no program is called $name" ;;
    esac
  done
}

node() {
  case $1 in
    stop) end "$2" ;;
    start)
      [[ -e $STATE/pids/$2 ]] || start_node "${2#node}"
      await "$2" "$2 is ready" node_is_ready "$2"
      ;;
    *) fail "nodes can be stopped and started" ;;
  esac
}

case ${1:-} in
  up | down | load | hold | control | node) "$@" ;;
  env) echo "export KUBECONFIG=$PKI/admin.kubeconfig PATH=$BIN:\$PATH" ;;
  *) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
