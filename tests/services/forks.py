"""`python -m invoke` at a tenth of its price: processes of their own that begin with everything imported.

Starting Python and importing what goctl imports takes most of a second, and what a test asks for a hundredth of that. So
each pytest worker has a process that imports everything once, and forks for each call. A fork is a process like any other,
with a folder, an environment, modules, signals and an end of its own. What it shares with its siblings are imports and the
seed of Python's hashes: tests of start-up, of what is imported when, and of equal bytes start Python for real, as all do
where a fork cannot be trusted (Windows has none; macOS's libraries do not outlive one).
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import io
import json
import os
import pkgutil
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NoReturn

#: An order is one message: its words, and the descriptors of an answer and of stdin, stdout and stderr.
_LIMIT = 1 << 17
#: Imported by goctl in functions alone.
_OTHERS = ("docker", "lightkube", "obstore", "redis", "rich.console", "rich.live", "yaml", "zstandard")
_server: socket.socket | None = None


def _pythons(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name.startswith("PYTHON")}


#: What Python reads when it starts, and nobody can tell a fork.
_STARTED_WITH = _pythons(os.environ)


def run(
    arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str], input: str = "", fresh: bool = False
) -> subprocess.CompletedProcess[str]:
    """`python -m ARGUMENTS` in that folder and environment, with what it printed. With `fresh` it imports goctl anew."""
    if sys.platform != "linux" or _pythons(env) != _STARTED_WITH:
        return subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=cwd,
            env={**env, "PYTHONUTF8": "1"},
            input=input,
            capture_output=True,
            text=True,
            encoding="utf-8",
        )
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(3)]
        files[0].write(input.encode())
        files[0].seek(0)
        mine, theirs = (stack.enter_context(one) for one in socket.socketpair())
        order = json.dumps({"arguments": list(arguments), "cwd": str(cwd), "env": dict(env), "fresh": fresh}).encode()
        socket.send_fds(_serving(), [order], [theirs.fileno(), *(file.fileno() for file in files)])
        theirs.close()
        code = _ended(mine)
        out, err = (_text(file) for file in files[1:])
    return subprocess.CompletedProcess(list(arguments), code, out, err)


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


def _ended(answer: socket.socket) -> int:
    """The exit code of the process, whose id comes first. It does not outlive a test that is given up."""
    with answer.makefile() as lines:
        child = int(lines.readline())
        try:
            return int(lines.readline())
        except BaseException:
            os.kill(child, signal.SIGKILL)
            raise


def _serving() -> socket.socket:
    """This worker's server, which ends when the worker does."""
    global _server
    if _server is None:
        mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, "-m", __name__, str(theirs.fileno())]
        root = Path(__file__).parents[2]
        with theirs:
            server = subprocess.Popen(command, cwd=root, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
        atexit.register(server.wait)
        atexit.register(mine.close)
        _server = mine
    return _server


def _serve(orders: socket.socket) -> None:
    _import_everything()
    while True:
        words, descriptors, _, _ = socket.recv_fds(orders, _LIMIT, 4)
        if not words:
            return
        if os.fork() == 0:
            orders.close()
            _call(json.loads(words), descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        with contextlib.suppress(ChildProcessError):  # those of the orders before
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _import_everything() -> None:
    import goctl

    names = [module.name for module in pkgutil.walk_packages(goctl.__path__, "goctl.")]
    for name in ("invoke.main", *_OTHERS, *names):
        # Those are run, not imported: nox's sessions, and programs.
        if name != "goctl.sessions" and not name.endswith("__main__"):
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
    gc.collect()
    gc.freeze()


def _call(order: dict[str, Any], descriptors: list[int]) -> NoReturn:
    """Forks once more, and tells how that process ended."""
    answer = descriptors[0]
    child = os.fork()
    if child:
        os.write(answer, f"{child}\n".encode())
        _, status = os.waitpid(child, 0)
        os.write(answer, f"{os.waitstatus_to_exitcode(status)}\n".encode())
        os._exit(0)
    os.close(answer)
    for number, descriptor in enumerate(descriptors[1:]):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["env"])
    sys.stdin, sys.stdout, sys.stderr = (
        io.TextIOWrapper(open(number, mode, closefd=False), encoding="utf-8", errors=errors)  # noqa: SIM115
        for number, mode, errors in ((0, "rb", "strict"), (1, "wb", "strict"), (2, "wb", "backslashreplace"))
    )
    if order["fresh"]:
        for name in [name for name in sys.modules if name.partition(".")[0] == "goctl"]:
            del sys.modules[name]
    sys.argv = order["arguments"]
    sys.path[0] = os.getcwd()
    os._exit(_main())


def _main() -> int:
    """What Python does for `-m` and when it ends, but for taking itself apart, which costs more than the call."""
    code: object = 0
    try:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        code = ended.code or 0
    except BaseException:  # noqa: BLE001 - as Python, it ends with whatever was raised
        traceback.print_exc()
        code = 1
    if not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    threading._shutdown()  # as multiprocessing does it
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return code


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
