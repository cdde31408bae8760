"""The tasks as invoke shows and runs them: names, help, options, and how each ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

import pytest
from invoke.context import Context

from goctl import commands, errors, tasks
from goctl.release import cachework
from goctl.release.chores import CHORES

TASKS = 'from goctl import namespace\n\nns = namespace("goctl.toml")\n'
TOML = '[project]\nname = "shop"\nmodule = "example.com/shop"\n[targets.api]\npackages = ["./cmd/api"]\n'
BROKEN = '[project]\nname = "shop"\n[targets.api]\npakages = ["./cmd/api"]\n[platforms]\ndefault = ["linxu/arm64"]\n'

STAGES = {"release", "build", "image", "archive", "push"}
QUESTIONS = {"plan", "explain", "affected", "config", "doctor"}
MODULES = {f"mod.{name}" for name in ("init", "tidy", "download", "verify", "vendor", "why", "outdated")}
LOOKS = {"manifest.create", "manifest.inspect", "tags.list", "tags.delete", "referrer.attach", "referrer.list"}
REGISTRY = {f"registry.{name}" for name in ("login", "logout", "copy", "retag")}
DEPLOYED = {"deploy.status", "deploy.history", "deploy.rollback", "deploy.verify"}
CLUSTERS = {f"cluster.{name}" for name in ("up", "down", "status")} | {"tools.install"}
DEPLOYING = {"deploy.run", "apply", "resolve"}
BUILDERS = {f"builder.{name}" for name in ("create", "inspect", "use", "remove", "prune", "usage")}
ENGINE = BUILDERS | {"docker.mirrors"}
OTHERS = {"generate", "go.env", "go.prune", "base.update", "base.status", "clean", "ci.nightly"}
CHORE_NAMES = MODULES | LOOKS | REGISTRY | CLUSTERS | DEPLOYED | ENGINE | OTHERS
BAKING = {"bake", "dockerfile.write", "dockerfile.check"}
CACHE = {f"cache.{name}" for name in ("stats", "why", "prune", "warm", "export", "import", "invalidate")}
ALL = STAGES | QUESTIONS | CHORE_NAMES | BAKING | CACHE | DEPLOYING | {"merge", "parity"}
#: How each is called with nothing but its name and what it must be given.
_REGISTRY = ("--registry", "registry.example.com")
GIVEN = {
    "explain": ("api",),
    "mod.why": ("fmt",),
    "cache.why": ("api",),
    "cache.export": ("x.cache",),
    "cache.import": ("x.cache",),
    "dockerfile.check": ("Dockerfile",),
    "registry.login": (*_REGISTRY, "--username", "me"),
    "registry.logout": _REGISTRY,
    "registry.copy": ("127.0.0.1:9/a:1", "127.0.0.1:9/b"),
    "registry.retag": ("127.0.0.1:9/a:1", "2"),
    **dict.fromkeys(LOOKS, ("127.0.0.1:9/a",)),
}
CALLS = {name: (name, *GIVEN.get(name, ())) for name in sorted(ALL)}


def write(root: Path, toml: str = TOML) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    (root / "goctl.toml").write_text(toml, encoding="utf-8")
    (root / "tasks.py").write_text(TASKS, encoding="utf-8")
    return root


def invoke(cwd: Path, *args: str, code: int | None = 0, **env: str) -> str:
    """What `invoke` prints, on both streams."""
    done = subprocess.run(
        [sys.executable, "-m", "invoke", *args],
        cwd=cwd,
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONIOENCODING": "utf-8", **env},
    )
    assert code is None or done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    return done.stdout + done.stderr


def listed(cwd: Path) -> dict[str, str]:
    """Names and help of `invoke --list`."""
    return dict(_flat(json.loads(invoke(cwd, "--list", "--list-format=json")), ""))


def _flat(collection: dict[str, Any], before: str) -> list[tuple[str, str]]:
    own = [(before + task["name"], task["help"]) for task in collection["tasks"]]
    return own + [pair for inner in collection["collections"] for pair in _flat(inner, f"{before}{inner['name']}.")]


def files(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if "__pycache__" not in path.parts}


@pytest.mark.parametrize("toml", [TOML, BROKEN, "[[[", ""])
def test_the_list_is_whole_whatever_the_file_holds(tmp_path: Path, toml: str) -> None:
    found = listed(write(tmp_path, toml))
    assert set(found) == ALL
    assert all(words and "\n" not in words and len(words) < 80 for words in found.values())
    assert len(set(found.values())) == len(ALL)


def test_the_list_of_a_terminal_has_a_line_each(tmp_path: Path) -> None:
    lines = invoke(write(tmp_path), "--list", COLUMNS="120").splitlines()
    assert [name for name in sorted(ALL) if sum(line.split()[:1] == [name] for line in lines) != 1] == []


def test_the_list_needs_no_file_and_imports_little(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "goctl.toml").unlink()
    (tmp_path / "tasks.py").write_text(
        TASKS
        + 'import sys\nprint([m for m in ("msgspec", "urllib3", "rich", "tomli", "goctl.commands") if m in sys.modules])\n'
    )
    lines = invoke(tmp_path, "--list").splitlines()
    # invoke itself may bring some of these; goctl must add none.
    assert "goctl.commands" not in lines[0]
    assert "urllib3" not in lines[0]
    assert "msgspec" not in lines[0]


_OPTIONS = {
    "stage": {"select", "since", "shard", "jobs", "offline"},
    "release": {"select", "since", "shard", "jobs", "offline", "deploy"},
    "deploy.run": {"to", "select", "jobs", "force-conflicts", "prune"},
    "apply": {"file", "to", "select", "jobs", "force-conflicts", "prune"},
    "resolve": {"file", "to", "select", "jobs"},
    "deploy.status": {"to"},
    "deploy.history": {"to"},
    "deploy.rollback": {"to", "release"},
    "deploy.verify": {"to"},
    "plan": {"select", "since"},
    "affected": {"select", "since"},
    "merge": {"folder"},
    "explain": {"target"},
    "mod.tidy": {"check"},
    "mod.vendor": {"check"},
    "mod.why": {"package"},
    "base.status": {"check"},
    "go.prune": {"size", "unused"},
    "registry.login": {"registry", "username"},
    "registry.logout": {"registry"},
    "registry.copy": {"source", "target"},
    "registry.retag": {"reference", "tags"},
    "manifest.create": {"name", "amend", "replace"},
    "manifest.inspect": {"reference", "compare", "unpacked"},
    "tags.list": {"repository"},
    "tags.delete": {"repository", "keep", "older", "protect"},
    "referrer.attach": {"reference", "file", "artifact-type", "media-type", "annotation"},
    "referrer.list": {"reference", "artifact-type"},
    "cache.why": {"target"},
    "cache.warm": {"select"},
    "cache.export": {"file"},
    "cache.import": {"file"},
    "cache.invalidate": {"target", "key", "older", "toolchain"},
    "cluster.up": {"cluster", "replace", "kubeconfig"},
    "cluster.down": {"cluster"},
    "cluster.status": {"cluster"},
    "bake": {"select", "format", "output", "check"},
    "dockerfile.write": {"select", "explain"},
    "dockerfile.check": {"file"},
    "ci.nightly": {"system", "check"},
    "parity": {"select", "jobs", "offline"},
    "docker.mirrors": {"write", "file"},
    "builder.create": {"replace", "force"},
    "builder.inspect": {"name", "bootstrap"},
    "builder.use": {"name"},
    "builder.remove": {"name", "keep-cache", "force"},
    "builder.usage": {"name", "older"},
    "builder.prune": {"name", "older", "keep", "everything", "force"},
}


@pytest.mark.parametrize("name", sorted(ALL))
def test_no_task_has_a_short_flag(name: str) -> None:
    task = tasks._tasks(Path("goctl.toml"))[name]
    arguments = task.get_arguments()
    names = [word for argument in arguments for word in argument.names]
    assert all(len(word) > 1 for word in names)
    assert all(argument.help for argument in arguments)
    expected = {"json", "profile"}
    expected |= _OPTIONS.get("stage" if name in STAGES - {"release"} else name, set())
    assert set(names) == expected
    assert not task.pre
    assert not task.post


def test_a_short_flag_is_refused(tmp_path: Path) -> None:
    assert "No idea what '-s'" in invoke(write(tmp_path), "build", "-s", "api", code=1)


def test_every_task_has_something_that_does_it() -> None:
    assert set(tasks._tasks(Path("x"))) == ALL
    assert set(commands.STAGES) == STAGES
    assert set(commands.QUESTIONS) | {"doctor"} == QUESTIONS
    assert set(commands.DEPLOYING) == DEPLOYING
    assert set(CHORES) == CHORE_NAMES
    assert set(cachework.TASKS) == CACHE
    assert set(commands.BAKING) == BAKING


@pytest.mark.parametrize("name", sorted(ALL))
def test_with_a_broken_file_every_task_ends_with_all_its_errors(tmp_path: Path, name: str) -> None:
    before = files(write(tmp_path, BROKEN))
    text = invoke(tmp_path, *CALLS[name], code=3)
    assert "goctl.toml:4" in text
    assert "did you mean 'packages'" in text
    assert "did you mean linux/arm64?" in text
    if name == "doctor":
        assert "python" in text
        assert "git" in text
    assert files(tmp_path) == before


@pytest.mark.parametrize("name", sorted(ALL))
def test_with_json_a_broken_file_is_told_as_json(tmp_path: Path, name: str) -> None:
    events = [json.loads(line) for line in invoke(write(tmp_path, BROKEN), *CALLS[name], "--json", code=3).splitlines()]
    assert events[-1]["event"] == "failed"
    assert events[-1]["exit-code"] == 3
    if name != "doctor":
        assert events[-1]["kind"] == "ConfigError"
        assert len(events[-1]["problems"]) == 3


@pytest.mark.parametrize("name", sorted(ALL))
def test_without_a_file_every_task_says_so(tmp_path: Path, name: str) -> None:
    write(tmp_path)
    (tmp_path / "goctl.toml").unlink()
    (tmp_path / "go.mod").write_text("module example.com/shop\n\ngo 1.24\n")
    text = invoke(tmp_path, *CALLS[name], code=None, PATH="")
    assert "Traceback" not in text


@pytest.mark.parametrize("name", sorted(STAGES | CACHE | CHORE_NAMES - {"go.env"}))
def test_dry_changes_nothing(tmp_path: Path, name: str) -> None:
    write(tmp_path, TOML + 'platforms = ["linux/amd64"]\n')
    (tmp_path / "cmd/api").mkdir(parents=True)
    (tmp_path / "cmd/api/main.go").write_text("package main\n\nfunc main() {}\n")
    if name != "mod.init":
        (tmp_path / "go.mod").write_text("module example.com/shop\n\ngo 1.24\n")
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / "kept").write_text("x")
    before = files(tmp_path)
    # Where there is no Go, stages end with 4, and change nothing either.
    text = invoke(tmp_path, "--dry", *CALLS[name], code=None)
    assert files(tmp_path) == before
    if name.startswith("mod."):
        words = {"mod.outdated": "list -m -u"}.get(name, name.replace(".", " "))
        assert f"would run `go {words}" in text
    if name == "clean":
        assert f"would remove {(tmp_path / 'dist').resolve()}" in text


def test_clean_removes_what_is_ours_and_not_the_project(tmp_path: Path) -> None:
    write(tmp_path)
    for name in ("dist/x", ".goctl/y", "other/z"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("")
    invoke(tmp_path, "clean")
    assert {"other", "other/z", "goctl.toml"} <= files(tmp_path)
    assert not {"dist", ".goctl"} & files(tmp_path)


@pytest.mark.parametrize("dist", [".", "./", "", "..", "a/.."])
def test_clean_never_removes_the_project(tmp_path: Path, dist: str) -> None:
    root = write(tmp_path / "shop", f'[release]\ndist = "{dist}"\n{TOML}')
    before = files(tmp_path)
    invoke(root, "clean", code=3)
    assert before <= files(tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_clean_removes_a_link_and_not_what_it_leads_to(tmp_path: Path) -> None:
    root = write(tmp_path / "shop")
    (root / "elsewhere").mkdir()
    (root / "elsewhere/kept").write_text("")
    (root / "dist").symlink_to("elsewhere", target_is_directory=True)
    invoke(root, "clean")
    assert "shop/elsewhere/kept" in files(tmp_path)
    assert not (root / "dist").is_symlink()


def test_the_files_path_counts_from_tasks_py(tmp_path: Path) -> None:
    root = write(tmp_path / "shop")
    other = tmp_path / "elsewhere"
    other.mkdir()
    assert "shop" in invoke(other, "-r", str(root), "config")
    (root / "deploy").mkdir()
    (root / "goctl.toml").rename(root / "deploy/goctl.toml")
    (root / "tasks.py").write_text(TASKS.replace('"goctl.toml"', '"deploy/goctl.toml"'))
    (root / "deeper/below").mkdir(parents=True)
    text = invoke(root / "deeper/below", "config")
    assert "example.com/shop" in text
    # and every path inside it from the file
    (root / "deploy/dist").mkdir()
    invoke(root / "deeper", "clean")
    assert not (root / "deploy/dist").exists()


def test_two_projects_in_one_tasks_py(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write(tmp_path / name, f'[project]\nname = "{name}"\nmodule = "example.com/{name}"\n')
        (tmp_path / name / "dist").mkdir()
    (tmp_path / "tasks.py").write_text(
        "from invoke import Collection\nfrom goctl import namespace\n\n"
        'ns = Collection(one=namespace("one/goctl.toml"), two=namespace("two/goctl.toml"))\n'
    )
    lines = invoke(tmp_path, "--list", COLUMNS="150").splitlines()
    names = {line.split()[0] for line in lines if line.startswith(("  one.", "  two."))}
    assert names == {f"{name}.{task}" for name in ("one", "two") for task in ALL}
    text = invoke(tmp_path, "one.config", "two.config")
    assert text.index("example.com/one") < text.index("example.com/two")
    invoke(tmp_path, "two.clean")
    assert (tmp_path / "one/dist").exists()
    assert not (tmp_path / "two/dist").exists()
    invoke(tmp_path, "one.clean", "one.mod.init", code=None, PATH="")
    assert not (tmp_path / "one/dist").exists()


@pytest.mark.parametrize(
    ("argv", "met"),
    [
        (["/bin/invoke", "plan"], set()),
        (["/bin/invoke", "--list"], set()),
        (["/bin/inv", "api.plan", "--json"], {"api"}),
        (["/bin/inv", "--help=api.plan"], {"api"}),
        (["/lib/invoke/__main__.py", "plan", "my_web.plan"], {"my-web"}),
        (["/bin/invoke", "--complete", "--", "invoke a"], {"api", "my-web"}),
        (["/bin/another", "plan"], {"api", "my-web"}),
        (["/lib/another/__main__.py", "plan"], {"api", "my-web"}),
    ],
)
def test_the_parser_meets_the_projects_that_the_command_line_may_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argv: list[str], met: set[str]
) -> None:
    write(tmp_path, '[workspace]\nmembers = ["*"]\n')
    for name in ("api", "my-web"):
        write(tmp_path / name, f'[project]\nname = "{name}"\n')
    monkeypatch.setattr(sys, "argv", argv)
    names = tasks.namespace(tmp_path / "goctl.toml").task_names
    assert {name.partition(".")[0] for name in names} & {"api", "my-web"} == met
    assert "plan" in names


def test_two_calls_of_one_task_are_two(tmp_path: Path) -> None:
    text = invoke(write(tmp_path), "--no-dedupe", "config", "config", "--json")
    assert text.count("project.module") == 2


@pytest.mark.parametrize(("args", "env"), [(("--json",), {}), ((), {"INVOKE_GOCTL_JSON": "1"})])
def test_options_come_from_the_command_line_or_invokes_environment(
    tmp_path: Path, args: tuple[str, ...], env: dict[str, str]
) -> None:
    assert json.loads(invoke(write(tmp_path), "config", *args, **env))["event"] == "table"


def test_profiles_come_from_the_command_line_or_invokes_environment(tmp_path: Path) -> None:
    write(tmp_path, TOML + '[profiles.ci.project]\nname = "shop-ci"\n[profiles.other.project]\nname = "shop-other"\n')
    assert "shop-ci" in invoke(tmp_path, "config", "--profile", "ci")
    assert "shop-ci" in invoke(tmp_path, "config", INVOKE_GOCTL_PROFILE="ci")
    assert "shop-other" in invoke(tmp_path, "config", "--profile", "other", INVOKE_GOCTL_PROFILE="ci")
    assert "known are ci, other" in invoke(tmp_path, "config", "--profile", "ic", code=3)


@pytest.mark.parametrize(
    "error", [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.GoctlError)]
)
def test_every_error_has_an_exit_code_of_its_own(
    error: type[errors.GoctlError], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def fail(*args: object, **options: object) -> int:
        raise error("it went wrong", hint="mend it") if error is not errors.Interrupted else error("it went wrong")

    monkeypatch.setattr(commands, "_run", fail)
    monkeypatch.setattr(commands.children, "end", lambda: None)
    with pytest.raises(commands.Exit) as caught:
        commands.command(Path("goctl.toml"), "build", dry=False, defaults={})
    assert caught.value.code == error.exit_code
    assert "error: it went wrong" in capsys.readouterr().out
    others = [kind for kind in errors.GoctlError.__subclasses__() if kind is not error]
    assert error.exit_code not in {kind.exit_code for kind in others} | {0, 2}


def test_ctrl_c_is_an_exit_code_and_no_traceback(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    def press(*args: object, **options: object) -> int:
        raise KeyboardInterrupt

    ended: list[bool] = []
    monkeypatch.setattr(commands, "_run", press)
    monkeypatch.setattr(commands.children, "end", lambda: ended.append(True))
    with pytest.raises(commands.Exit) as caught:
        commands.command(Path("goctl.toml"), "build", dry=False, defaults={})
    assert caught.value.code == 130
    assert ended == [True]
    assert "interrupted" in capsys.readouterr().out


def test_a_path_may_be_absolute(tmp_path: Path) -> None:
    file = write(tmp_path) / "goctl.toml"
    made = tasks.namespace(file)
    assert made.task_names.keys() == ALL
    assert Context().config.run.dry is False


def test_nobody_reading_ends_quietly(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "invoke", "config"], cwd=write(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.close()
        said = child.stderr.read()
    assert said == b""
    assert child.returncode == 141


class _Gone:
    """Something to hold weakly, as the import system holds its locks."""


def test_an_interrupt_amid_imports_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "unraisablehook", lambda lost: None)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    held = {"lock": _Gone()}
    watch = weakref.ref(held["lock"], lambda ref: signal.raise_signal(signal.SIGINT))
    try:
        with pytest.raises(KeyboardInterrupt), tasks._interrupts_held():
            held.clear()  # what is raised in the callback is dropped by Python
        assert watch() is None
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
