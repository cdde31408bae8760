"""Kubernetes: kind clusters, and what is deployed to clusters."""
