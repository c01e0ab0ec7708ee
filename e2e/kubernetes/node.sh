#!/usr/bin/env bash
# One node of the cluster: the first process of its own process, mount and network namespaces, started by cluster.sh.
# When it dies, everything on the node does.
set -euo pipefail
HOME_OF_NODE=$STATE/$NODE
SOCKET=$HOME_OF_NODE/containerd.sock

mount --make-rshared /
mount -t tmpfs tmpfs /run
mkdir -p /run/netns /run/containerd "$HOME_OF_NODE"/{pods,logs/pods,logs/containers,kubelet,containerd,cni}
mount --bind "$HOME_OF_NODE/logs" /var/log
export PATH=$BIN:$DEBIAN/usr/bin:$DEBIAN/usr/sbin:$PATH
export LD_LIBRARY_PATH=$DEBIAN/usr/lib/x86_64-linux-gnu XTABLES_LIBDIR=$DEBIAN/usr/lib/x86_64-linux-gnu/xtables

# Overlays cannot be stacked: a checkout within a container falls back to copies.
snapshotter() {
  local probe=$HOME_OF_NODE/probe
  mkdir -p "$probe"/{lower,upper,work,merged}
  if mount -t overlay overlay -o "lowerdir=$probe/lower,upperdir=$probe/upper,workdir=$probe/work" "$probe/merged" 2>/dev/null; then
    umount "$probe/merged"
    echo overlayfs
  else
    echo native
  fi
  rm -rf "$probe"
}

cat >"$HOME_OF_NODE/cni/10-bridge.conflist" <<K
{"cniVersion": "0.4.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": false, "hairpinMode": true,
   "ipam": {"type": "host-local", "dataDir": "/run/cni", "ranges": [[{"subnet": "$POD_NETWORK"}]],
            "routes": [{"dst": "0.0.0.0/0"}]}}]}
K

cat >"$HOME_OF_NODE/containerd.toml" <<K
version = 2
root = "$HOME_OF_NODE/containerd"
state = "/run/containerd/state"
oom_score = 0
disabled_plugins = [
  "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.internal.v1.opt", "io.containerd.tracing.processor.v1.otlp"]
[grpc]
  address = "$SOCKET"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "docker.io/local/pause:1"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "$(snapshotter)"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
        BinaryName = "$DEBIAN/usr/sbin/runc"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "$DEBIAN/usr/lib/cni"
    conf_dir = "$HOME_OF_NODE/cni"
K

containerd -c "$HOME_OF_NODE/containerd.toml" >>"$STATE/log/$NODE-containerd.log" 2>&1 &
for _ in $(seq 200); do
  if ctr -a "$SOCKET" version >/dev/null 2>&1; then break; fi
  sleep 0.1
done
for image in "$IMAGES"/*.tar; do ctr -a "$SOCKET" -n k8s.io images import "$image" >/dev/null; done

# Nothing outside is to be resolved.
echo "nameserver 127.0.0.1" >"$HOME_OF_NODE/resolv.conf"
cat >"$HOME_OF_NODE/kubelet.yaml" <<K
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $NODE_IP
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $PKI/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $PKI/$NODE.crt
tlsPrivateKeyFile: $PKI/$NODE.key
containerRuntimeEndpoint: unix://$SOCKET
cgroupDriver: cgroupfs
cgroupRoot: /$CGROUP/$NODE
enforceNodeAllocatable: [pods]
failSwapOn: false
failCgroupV1: false
makeIPTablesUtilChains: false
oomScoreAdj: 0
clusterDNS: [$NETWORK.2]
clusterDomain: cluster.local
resolvConf: $HOME_OF_NODE/resolv.conf
evictionHard: {memory.available: "50Mi", nodefs.available: "0%", imagefs.available: "0%", nodefs.inodesFree: "0%"}
imageGCHighThresholdPercent: 100
nodeStatusUpdateFrequency: 5s
syncFrequency: 10s
# Mounted Secrets and ConfigMaps are written anew as soon as they change.
configMapAndSecretChangeDetectionStrategy: Watch
maxPods: 200
K
kubelet --config="$HOME_OF_NODE/kubelet.yaml" --kubeconfig="$PKI/$NODE.kubeconfig" --root-dir="$HOME_OF_NODE/kubelet" \
  --hostname-override="$NODE" --node-ip="$NODE_IP" >>"$STATE/log/$NODE-kubelet.log" 2>&1 &
kube-proxy --kubeconfig="$PKI/kube-proxy.kubeconfig" --proxy-mode=nftables --hostname-override="$NODE" \
  --cluster-cidr="$PODS.0.0/16" --healthz-bind-address="$NODE_IP:10256" --metrics-bind-address=127.0.0.1:10249 \
  --oom-score-adj=0 --conntrack-max-per-core=0 --conntrack-tcp-timeout-established=0 \
  --conntrack-tcp-timeout-close-wait=0 >>"$STATE/log/$NODE-kube-proxy.log" 2>&1 &

if [[ $NODE == node1 ]]; then
  cat >"$HOME_OF_NODE/Corefile" <<K
.:53 {
  bind $NETWORK.2
  errors
  health 127.0.0.1:8091
  ready 127.0.0.1:8191
  kubernetes cluster.local in-addr.arpa {
    kubeconfig $PKI/admin.kubeconfig tests
    pods insecure
    ttl 1
  }
  cache 1
  template ANY ANY . {
    rcode NXDOMAIN
  }
}
K
  coredns -conf "$HOME_OF_NODE/Corefile" >>"$STATE/log/$NODE-coredns.log" 2>&1 &
fi

# Whatever is left behind by a pod ends up here, as with any init.
while :; do
  wait -n || true
  sleep 0.2
done
