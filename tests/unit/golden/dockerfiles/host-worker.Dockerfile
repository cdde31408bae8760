# Made by goctl for the target worker: `invoke dockerfile` writes it anew.
# goctl-static is a named context, which the bake file gives.
FROM goctl-static
ARG TARGETOS
ARG TARGETARCH
ARG TARGETVARIANT
COPY --link --chmod=0755 dist/worker/${TARGETOS}-${TARGETARCH}${TARGETVARIANT:+-$TARGETVARIANT}/worker /usr/local/bin/worker
ENTRYPOINT ["/usr/local/bin/worker"]
