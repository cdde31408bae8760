"""Facts and a model in, steps with keys out: pure functions over values."""
