"""Kubernetes: clusters, what is deployed to them, and what becomes of it."""
