# Made by goctl for the target api: `invoke dockerfile` writes it anew.
FROM --platform=$BUILDPLATFORM golang:1.26.1 AS goctl-compile
WORKDIR /src/services
COPY pkg/log/go.mod /src/pkg/log/
COPY services/go.mod services/go.sum /src/services/
RUN --mount=type=cache,id=goctl-modules,target=/go/pkg/mod --mount=type=secret,id=netrc,target=/root/.netrc \
    go mod download
COPY pkg/log/*.go /src/pkg/log/
COPY services/cmd /src/services/cmd/
COPY services/internal /src/services/internal/
ARG TARGETPLATFORM
ARG TARGETOS
ARG TARGETARCH
ARG GOCTL_LDFLAGS
RUN --mount=type=cache,id=goctl-modules,target=/go/pkg/mod --mount=type=cache,id=goctl-build,target=/root/.cache/go-build --mount=type=secret,id=netrc,target=/root/.netrc \
    case "$TARGETPLATFORM" in \
      linux/amd64) export GOAMD64=v1 ;; \
      linux/arm/v7) export GOARM=7 ;; \
      linux/arm64) export GOARM64=v8.0 ;; \
    esac; \
    GOOS="$TARGETOS" GOARCH="$TARGETARCH" CGO_ENABLED=0 go build -trimpath -buildvcs=false -gcflags=all=-dwarf=false "-ldflags=$GOCTL_LDFLAGS" -o /out/ -- ./cmd/api
FROM registry.example.com/debian:12
ARG COMMIT
USER root
RUN --mount=type=secret,id=netrc,target=/root/.netrc \
    apt-get update && \
    DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends ca-certificates && \
    rm -rf /var/lib/apt/lists/* /var/cache/apt/archives/* /var/log/apt /var/log/dpkg.log
COPY --link ["web/\\$dist [[]1]", "/srv/www"]
COPY --link --from=goctl-compile /out/api /usr/local/bin/api
ENV A="a \$HOME \"b\" \\"
EXPOSE 8080/tcp
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/api"]
CMD ["-config", "$x"]
