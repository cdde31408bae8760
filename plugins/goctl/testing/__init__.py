"""Public fakes for those who write tasks, engines or destinations with goctl."""

from goctl.testing.registry import Fault, Registry, Request

__all__ = ["Fault", "Registry", "Request"]
