# Where the cluster's parts are; sourced by the other scripts. All of it is outside the checkout, so that a fresh clone
# does not build it again.
CACHE=${BARRAGE_E2E_CACHE:-$HOME/.cache/barrage-e2e}/kubernetes
BIN=$CACHE/bin        # programs built from Go modules
DEBIAN=$CACHE/debian  # unpacked packages
IMAGES=$CACHE/images  # that every node has from its start
STATE=$CACHE/state    # of the one cluster that is up
export CACHE BIN DEBIAN IMAGES STATE
