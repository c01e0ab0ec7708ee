#!/usr/bin/env bash
# What the tests' Kubernetes cluster is made of: one binary with the whole control plane and node agents, and helm, built
# from Go modules; containerd, runc, CNI plugins and nftables from Debian packages, unpacked without being installed; two
# small images; and checkers of manifests and alerts. The first time takes a quarter of an hour on two cores beside
# a build; then nothing is done until a version changes.
#
# Needs go >= 1.24, gcc, python3, openssl, curl, apt-get and dpkg-deb; e2e/scripts/setup.sh looks for them.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/place.sh"

# With the dependencies of each, for Debian 12 and newer.
PACKAGES=(containerd runc containernetworking-plugins nftables libnftables1 libnftnl11 libmnl0 libjansson4 libxtables12 busybox-static)
# Checkers of manifests.
KUBE_SCORE=github.com/zegl/kube-score/cmd/kube-score@v1.20.0
KUBECONFORM=github.com/yannh/kubeconform/cmd/kubeconform@v0.7.0
# For promtool, which checks alerts and tries them.
PROMETHEUS=prometheus

# No debug information, which -w would drop at the end, and a compiler that collects no garbage below so much memory. The
# first, with GOGC=400, takes off a third of what there is to compute, and GOGC=off a sixth of the rest.
export GOFLAGS=-gcflags=all=-dwarf=false GOGC=off GOMEMLIMIT=2GiB

say() { printf '==> %s\n' "$*"; }

# version MODULE: as programs/go.mod requires it.
version() { sed -nE "s#^(require )?[[:space:]]*$1 (v[^ ]+).*#\2#p" "$here/programs/go.mod"; }

build_programs() {
  local kubernetes minor helm package flags="-s -w" name
  kubernetes=$(version k8s.io/kubernetes)
  helm=$(version helm.sh/helm/v3)
  minor=${kubernetes#v1.}
  minor=${minor%%.*}
  for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    flags+=" -X $package.gitVersion=$kubernetes -X $package.gitMajor=1 -X $package.gitMinor=$minor -X $package.gitTreeState=clean"
  done
  say "building Kubernetes $kubernetes and helm $helm for the tests: a quarter of an hour beside a build, once"
  cd "$here/programs"
  export CGO_ENABLED=0 GOTOOLCHAIN=local
  go build -trimpath -buildvcs=false -ldflags "$flags" -o "$BIN/kubernetes" .
  for name in etcd kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl coredns; do
    ln -sf kubernetes "$BIN/$name"
  done
  flags="-s -w -X helm.sh/helm/v3/internal/version.version=$helm"
  # What charts are rendered and linted for where there is no cluster to ask.
  for package in chartutil lint/rules; do
    flags+=" -X helm.sh/helm/v3/pkg/$package.k8sVersionMajor=1 -X helm.sh/helm/v3/pkg/$package.k8sVersionMinor=$minor"
  done
  go build -trimpath -buildvcs=false -ldflags "$flags" -o "$BIN/helm" helm.sh/helm/v3/cmd/helm
  cd "$here"
}

install_checkers() {
  say "installing kube-score and kubeconform"
  (cd / && GOBIN=$BIN GOTOOLCHAIN=local CGO_ENABLED=0 go install "$KUBE_SCORE")
  (cd / && GOBIN=$BIN GOTOOLCHAIN=local CGO_ENABLED=0 go install "$KUBECONFORM")
}

# fetch FOLDER PACKAGE...: unpacks Debian packages there, without installing them.
fetch() {
  local folder=$1 fetched package
  shift
  say "fetching $*"
  fetched=$(mktemp -d)
  rm -rf "$folder"
  mkdir -p "$folder"
  apt-get update -qq || say "apt-get update failed; trying with the lists that are there"
  # apt-get drops its rights to a user of its own, who has to write there.
  chmod 777 "$fetched"
  (cd "$fetched" && apt-get download -qq "$@")
  for package in "$fetched"/*.deb; do dpkg-deb -x "$package" "$folder"; done
  rm -rf "$fetched"
}

unpack_packages() {
  fetch "$DEBIAN" "${PACKAGES[@]}"
}

install_promtool() {
  local unpacked
  unpacked=$(mktemp -d)
  fetch "$unpacked" "$PROMETHEUS"
  install "$unpacked/usr/bin/promtool" "$BIN/promtool"
  rm -rf "$unpacked"
}

pack_images() {
  local built kubernetes
  mkdir -p "$IMAGES"
  built=$(mktemp -d)
  (cd "$here/programs" && GOTOOLCHAIN=local go mod download k8s.io/kubernetes)
  kubernetes=$(cd "$here/programs" && GOTOOLCHAIN=local go list -m -f '{{.Dir}}' k8s.io/kubernetes)
  gcc -Os -static -DVERSION=3.10 -o "$built/pause" "$kubernetes/build/pause/linux/pause.c"
  strip "$built/pause"
  "$here/pack_image.py" "$IMAGES/pause.tar" docker.io/local/pause:1 --entrypoint /pause "$built/pause=/pause"
  "$here/pack_image.py" "$IMAGES/busybox.tar" docker.io/local/busybox:1 --entrypoint /bin/sh \
    "$DEBIAN/bin/busybox=/bin/busybox" --link /bin/sh=busybox --link /bin/sleep=busybox --link /bin/wget=busybox
  rm -rf "$built"
}

# once NAME WHAT FILE...: runs WHAT unless it was done with just these files.
once() {
  local stamp=$CACHE/$1.stamp what=$2 sum
  shift 2
  sum=$(cat "$@" | sha256sum | cut -c1-16)
  if [[ $(cat "$stamp" 2>/dev/null) == "$sum" ]]; then return; fi
  "$what"
  echo "$sum" >"$stamp"
}

mkdir -p "$BIN"
# Of several runs at once, one makes it and the others wait.
exec 9>"$CACHE/setup.lock"
flock 9
programs=("$here"/programs/go.* "$here"/programs/*.go "$here"/programs/coredns/*.go)
once programs build_programs "${programs[@]}" <(declare -f build_programs; echo "$GOFLAGS")
once checkers install_checkers <(echo "$KUBE_SCORE $KUBECONFORM")
once promtool install_promtool <(echo "$PROMETHEUS")
once packages unpack_packages <(echo "${PACKAGES[*]}")
once images pack_images "$here/pack_image.py" <(declare -f pack_images) "$CACHE/packages.stamp"
