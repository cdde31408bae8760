"""Layers, manifests, indexes and image layouts, as the OCI image specification has them."""
