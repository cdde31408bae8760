group "default" {
  targets = [
    "api",
    "worker",
  ]
}

target "api" {
  annotations = [
    "manifest:a:b=1.0",
    "index:a:b=1.0",
  ]
  args = {
    "COMMIT" = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
    "SOURCE_DATE_EPOCH" = "1700000000"
  }
  attest = [
    {
      "mode" = "max"
      "type" = "provenance"
    },
    {
      "type" = "sbom"
    },
  ]
  cache-to = [
    {
      "mode" = "max"
      "ref" = "registry.example.com:5000/acme/cache:api"
      "type" = "registry"
    },
    {
      "type" = "gha"
    },
  ]
  context = "."
  dockerfile = "dist/buildkit/api.Dockerfile"
  labels = {
    "org.opencontainers.image.created" = "2023-11-14T22:13:20Z"
    "org.opencontainers.image.revision" = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
    "org.opencontainers.image.version" = "1.0"
  }
  output = [
    {
      "type" = "registry"
    },
  ]
  platforms = [
    "linux/amd64",
    "linux/arm/v7",
    "linux/arm64",
  ]
  secret = [
    {
      "id" = "netrc"
      "type" = "file"
      "src" = "ci/netrc"
    },
  ]
  tags = ["registry.example.com:5000/acme/shop/api:latest"]
}

target "worker" {
  args = {
    "SOURCE_DATE_EPOCH" = "0"
  }
  attest = [
    {
      "mode" = "max"
      "type" = "provenance"
    },
    {
      "type" = "sbom"
    },
  ]
  cache-to = [
    {
      "mode" = "max"
      "ref" = "registry.example.com:5000/acme/cache:worker"
      "type" = "registry"
    },
    {
      "type" = "gha"
    },
  ]
  context = "."
  contexts = {
    "goctl-static" = "oci-layout://dist/buildkit/static"
  }
  dockerfile = "dist/buildkit/worker.Dockerfile"
  output = [
    {
      "type" = "registry"
    },
  ]
  platforms = [
    "linux/amd64",
    "linux/arm/v7",
    "linux/arm64",
  ]
  tags = ["registry.example.com:5000/acme/shop/worker:latest"]
}
