"""Sessions of nox for a user's noxfile:

# noxfile.py
from goctl.sessions import bench, bench_peers

    nox -s bench                          # the states of [benchmark], compared with the baseline
    nox -s bench -- edit nothing          # some of them
    nox -s bench -- --accept              # what it takes now is what it may take from now on

They run in the environment that nox itself is in: what is measured is the goctl that the noxfile imports. Neither is run by
a plain `nox`, which would take long.
"""

from __future__ import annotations

import sys

import nox


@nox.session(venv_backend="none", default=False)
def bench(session: nox.Session) -> None:
    """Releases measured in declared states of a machine, compared with the baseline; arguments as `-- --help` tells."""
    session.run(sys.executable, "-m", "goctl.benchmark", *session.posargs, external=True)


@nox.session(venv_backend="none", default=False)
def bench_peers(session: nox.Session) -> None:
    """The same beside ko, plain `go build` and buildx bake, where they are on PATH."""
    session.run(sys.executable, "-m", "goctl.benchmark", "--peers", *session.posargs, external=True)
