"""Registries that speak OCI's distribution specification: credentials, requests, push and pull."""
