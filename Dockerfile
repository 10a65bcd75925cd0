# The worker's image: trmsweep and tctl as static binaries (the CPU backends).
# For XLA build with --build-arg CGO_ENABLED=1 --build-arg BASE=debian:trixie-slim
# and mount the PJRT plugin.
ARG BASE=gcr.io/distroless/static-debian12

FROM golang:1.26.8 AS build
WORKDIR /src
COPY go.mod go.sum ./
COPY internal/guard/go.mod internal/guard/
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
ARG CGO_ENABLED=0
ARG VERSION=docker
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=$CGO_ENABLED go build -trimpath -ldflags "-s -w -X trmsweep/internal/version.code=$VERSION" -o /out/ ./cmd/trmsweep ./cmd/tctl \
    && mkdir /out/state

FROM $BASE
COPY --from=build /out/trmsweep /out/tctl /usr/local/bin/
COPY --from=build --chown=65532:65532 /out/state /state
USER 65532
ENV TRMSWEEP_STATE=/state
ENTRYPOINT ["/usr/local/bin/trmsweep"]
