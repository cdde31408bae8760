"""`invoke doctor` and `invoke go.env` with settings that are wrong: what they say, that their lines mend it, and that they
write nothing."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.services import forks

TOML = """[project]
name = "shop"
version = "1.0"
[targets.api]
packages = ["./cmd/api"]
platforms = ["linux/amd64"]
build-tags = ["netgo"]
image = false
"""
TASKS = 'from goctl import namespace\n\nns = namespace("goctl.toml")\n'


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    root = tmp_path / "shop"
    (root / "cmd/api").mkdir(parents=True)
    (root / "cmd/api/main.go").write_text("package main\n\nfunc main() {}\n", encoding="utf-8")
    (root / "go.mod").write_text("module example.com/shop\n\ngo 1.24\n", encoding="utf-8")
    (root / "goctl.toml").write_text(TOML, encoding="utf-8")
    (root / "tasks.py").write_text(TASKS, encoding="utf-8")
    return root


def invoke(root: Path, *args: str, code: int = 0, **env: str) -> str:
    done = forks.run(["invoke", *args], cwd=root, env={**os.environ, **env})
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout + done.stderr


def answer(root: Path, task: str = "doctor", **env: Any) -> tuple[list[dict[str, Any]], dict[str, dict[str, Any]]]:
    """The events of a task, and its findings by name."""
    events = [json.loads(line) for line in invoke(root, task, "--json", **env).splitlines()]
    found = next(event["data"]["findings"] for event in events if event["event"] == "document")
    return events, {one["name"]: one for one in found}


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if "__pycache__" not in path.parts}


def test_doctor_tells_what_is_wrong_in_words_and_as_json_and_writes_nothing(shop: Path) -> None:
    before = files(shop)
    wrong = {"GOFLAGS": "-mod=mod -tags=x", "GOSUMDB": "off", "GOPROXY": "https:/me:s3cret@proxy.example.com"}
    text = invoke(shop, "doctor", **wrong)
    assert "problem: GOFLAGS holds -mod=mod (environment)" in text
    assert "why: it is lost for api, whose own build-tags take its place" in text
    assert "s3cret" not in text
    events, found = answer(shop, **wrong)
    assert found["goflags-mod"]["severity"] == "problem"
    assert found["gosumdb-off"]["lines"]["posix"] == ["unset GOSUMDB"]
    assert found["gosumdb-off"]["lines"]["powershell"][0].startswith("Remove-Item Env:GOSUMDB")
    assert found["gosumdb-off"]["lines"]["cmd"][0].startswith('set "GOSUMDB="')
    rows = {row[0]: row for row in next(event["rows"] for event in events if event["event"] == "table")}
    assert rows["go settings"][1] == "warning"
    assert "problems" in rows["go settings"][2]
    assert files(shop) == before


def test_where_go_refuses_to_start_the_finding_says_why(shop: Path) -> None:
    text = invoke(shop, "doctor", code=4, GOPATH="go")
    assert "GOPATH entry is relative" in text
    assert "problem: GOPATH is 'go' (environment), which is no absolute path on this system" in text
    text = invoke(shop, "go.env", code=4, GOPATH="go")
    assert "problem: GOPATH is 'go'" in text


def test_with_a_broken_file_settings_are_looked_at_too(shop: Path) -> None:
    (shop / "goctl.toml").write_text("[targets.api]\npakages = []\n", encoding="utf-8")
    assert "problem: GO111MODULE=off" in invoke(shop, "doctor", code=3, GO111MODULE="off")


def test_go_env_tells_where_each_setting_comes_from(shop: Path, tmp_path: Path) -> None:
    (tmp_path / "env").write_text("GONOSUMDB=*.corp\nGOPROXY=off\n", encoding="utf-8")
    (shop / "goctl.toml").write_text('[go]\nprivate = ["git.corp"]\n' + TOML, encoding="utf-8")
    before = files(shop)
    events, _ = answer(shop, "go.env", GOENV=str(tmp_path / "env"), GOPROXY="https://me:s3cret@proxy.example.com,direct")
    table = next(event for event in events if event["event"] == "table")
    assert table["columns"] == ["name", "value", "from", "meaning"]
    rows = {row[0]: row for row in table["rows"]}
    assert rows["GOPROXY"][1:3] == ["https://***@proxy.example.com,direct", "environment"]
    assert rows["GONOSUMDB"][1:3] == ["*.corp", f"go env -w ({tmp_path / 'env'})"]
    assert rows["GOPRIVATE"][1:3] == ["git.corp", "goctl.toml"]
    assert rows["GOMOD"][1:3] == [str((shop / "go.mod").resolve()), "found by go"]
    assert rows["GO111MODULE"][1:3] == ["", "go's default"]
    assert rows["GOENV"][1:3] == [str(tmp_path / "env"), "environment"]
    assert files(shop) == before


@pytest.mark.skipif(os.name == "nt", reason="runs the lines for POSIX shells")
def test_the_lines_mend_what_they_are_for(shop: Path, tmp_path: Path) -> None:
    env = {"GOENV": str(tmp_path / "env"), "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    wrong = ("GOPROXY=https://a.example.com;direct", 'GOFLAGS=-ldflags="-s -w"', "GOSUMDB=off", "GOPRIVATE=https://a.corp")
    names = ("goproxy-typo", "goflags-unparsed", "gosumdb-off", "goprivate-pattern")
    (tmp_path / "env").write_text("\n".join(wrong) + "\n", encoding="utf-8")
    clean = dict.fromkeys(("GOPROXY", "GOFLAGS", "GOSUMDB", "GOPRIVATE"), "")
    _, found = answer(shop, **env, **clean)
    assert set(names) <= set(found)
    for name in names:
        (line,) = found[name]["lines"]["posix"]
        subprocess.run(["sh", "-c", line], cwd=shop, env={**os.environ, **clean, **env}, check=True)
    _, found = answer(shop, **env, **clean)
    assert not set(names) & set(found)
    written = (tmp_path / "env").read_text(encoding="utf-8")
    assert "GOPROXY=https://a.example.com,direct\n" in written
    assert "GOFLAGS='-ldflags=-s -w'\n" in written


def test_two_files_that_differ_by_case_are_found_in_what_git_holds(shop: Path) -> None:
    def git(*words: str) -> bytes:
        return subprocess.run(["git", *words], cwd=shop, check=True, capture_output=True).stdout

    git("init", "-q")
    git("add", ".")
    blob = git("hash-object", "-w", "go.mod").decode().strip()
    git("update-index", "--add", "--cacheinfo", f"100644,{blob},GO.mod")
    _, found = answer(shop)
    assert "GO.mod and go.mod differ by case alone" in found["names-differ-by-case"]["matter"]


def test_advice_takes_less_than_a_second(shop: Path) -> None:
    from goctl.config.model import Config
    from goctl.golang.advice.findings import findings
    from goctl.golang.advice.look import look

    started = time.perf_counter()
    findings(look(Config(), shop, shop))
    assert time.perf_counter() - started < 1
