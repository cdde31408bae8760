"""goctl releases Go programs: one goctl.toml, and invoke tasks from go.mod to multi-platform images.

# tasks.py
from goctl import namespace
ns = namespace("goctl.toml")
"""

from goctl.tasks import collection, namespace

__version__ = "0.1.0"
__all__ = ["__version__", "collection", "namespace"]
