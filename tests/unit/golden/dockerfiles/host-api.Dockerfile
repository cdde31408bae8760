# Made by goctl for the target api: `invoke dockerfile` writes it anew.
FROM registry.example.com/debian:12
ARG COMMIT
USER root
RUN --mount=type=secret,id=netrc,target=/root/.netrc \
    apt-get update && \
    DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends ca-certificates && \
    rm -rf /var/lib/apt/lists/* /var/cache/apt/archives/* /var/log/apt /var/log/dpkg.log
COPY --link ["web/\\$dist [[]1]", "/srv/www"]
ARG TARGETOS
ARG TARGETARCH
ARG TARGETVARIANT
COPY --link --chmod=0755 dist/api/${TARGETOS}-${TARGETARCH}${TARGETVARIANT:+-$TARGETVARIANT}/api /usr/local/bin/api
ENV A="a \$HOME \"b\" \\"
EXPOSE 8080/tcp
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/api"]
CMD ["-config", "$x"]
