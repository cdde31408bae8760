"""The Go toolchain, modules, the package graph and compilation."""
