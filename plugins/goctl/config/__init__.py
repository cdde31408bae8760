"""goctl.toml in, a typed frozen model out, or every problem at once with its file and line."""
