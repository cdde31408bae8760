"""BuildKit by way of Docker's buildx: its builders, what can be asked of them, and builds."""
