#!/bin/sh
# update.sh 1.34.4: writes go.mod and go.sum anew for another version of Kubernetes, from what it publishes itself.
set -eu
cd "$(dirname "$0")"
version=$1
staging=v0.${version#1.}
published=$(cd / && go mod download -json "k8s.io/kubernetes@v$version" | sed -n 's/.*"GoMod": "\(.*\)",/\1/p')
sed -E -e 's#^module .*#module kubernetes-for-tests#' \
  -e "s#^([[:space:]]+)(k8s\.io/[a-z-]+) => \./staging/.*#\1\2 => \2 $staging#" "$published" >go.mod
go mod edit -require "k8s.io/kubernetes@v$version" -require "github.com/coredns/coredns@${COREDNS:-v1.13.1}" \
  -require "helm.sh/helm/v3@${HELM:-v3.19.5}" -tool helm.sh/helm/v3/cmd/helm
go mod tidy
