# syntax=docker/dockerfile:1
# One image for all pods: `barrage` (gateway, consumer, ranker) and `barrage-operator`, which its pod names as command.
# It holds these two, the shared libraries that they need and certificates of public authorities, and runs as 65532.
#
#   docker build -t ghcr.io/barrage-live/barrage:0.1.0 .

FROM docker.io/library/node:22-bookworm-slim AS page
WORKDIR /source
COPY dataplane/web/package.json dataplane/web/package-lock.json dataplane/web/.npmrc ./
RUN npm ci --no-audit --no-fund
COPY dataplane/web ./
RUN npm run --silent build

# The version that rust-toolchain.toml pins.
FROM docker.io/library/rust:1.95.0-slim-bookworm AS build
# For librdkafka, which is built from source, and for the OpenSSL that it is linked with.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates g++ libssl-dev make pkg-config \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
COPY --from=page /source/dist dataplane/web/dist
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/source/target \
    cargo build --locked --release --workspace --bins \
    && charts/image/lay-out.sh /image \
        target/release/barrage=/usr/local/bin/barrage \
        target/release/barrage-operator=/usr/local/bin/barrage-operator

FROM scratch
COPY --from=build /image /
ENV PATH=/usr/local/bin
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/barrage"]
CMD ["--help"]
