"""Public fakes for those who write tasks, engines or destinations with goctl."""

from goctl.testing.host import Host, make_base, make_index
from goctl.testing.registry import Fault, Registry, Request

__all__ = ["Fault", "Host", "Registry", "Request", "make_base", "make_index"]
