"""BuildKit by way of Docker's buildx: its bake files and Dockerfiles, its builders, and builds."""
