# Made by goctl for the target worker: `invoke dockerfile` writes it anew.
# goctl-static is a named context, which the bake file gives.
FROM --platform=$BUILDPLATFORM golang:1.26.1 AS goctl-compile
WORKDIR /src/services
COPY pkg/log/go.mod /src/pkg/log/
COPY services/go.mod services/go.sum /src/services/
RUN --mount=type=cache,id=goctl-modules,target=/go/pkg/mod \
    go mod download
COPY pkg/log/*.go /src/pkg/log/
COPY services/cmd /src/services/cmd/
ARG TARGETPLATFORM
ARG TARGETOS
ARG TARGETARCH
ARG GOCTL_LDFLAGS
RUN --mount=type=cache,id=goctl-modules,target=/go/pkg/mod --mount=type=cache,id=goctl-build,target=/root/.cache/go-build \
    case "$TARGETPLATFORM" in \
      linux/amd64) export GOAMD64=v1 ;; \
      linux/arm/v7) export GOARM=7 ;; \
      linux/arm64) export GOARM64=v8.0 ;; \
    esac; \
    GOOS="$TARGETOS" GOARCH="$TARGETARCH" CGO_ENABLED=0 go build -trimpath -buildvcs=false -gcflags=all=-dwarf=false "-ldflags=$GOCTL_LDFLAGS" -o /out/ -- ./cmd/worker
FROM goctl-static
COPY --link --from=goctl-compile /out/worker /usr/local/bin/worker
ENTRYPOINT ["/usr/local/bin/worker"]
