"""Every task's name, words, options and help: what `invoke --list` and `--help` show."""

from __future__ import annotations

from goctl.menu import images, machines, project, releasing
from goctl.menu.kind import Kind

__all__ = ["DEFAULT_TASKS", "KINDS", "Kind"]

#: What a group does when it is called by its own name.
DEFAULT_TASKS = ("dockerfile.write", "deploy.run")
#: By name; a dot stands between a group and its tasks.
KINDS = {**releasing.KINDS, **images.KINDS, **project.KINDS, **machines.KINDS}
