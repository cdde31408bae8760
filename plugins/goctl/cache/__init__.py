"""What was made before: blobs by digest, and small values by key."""
