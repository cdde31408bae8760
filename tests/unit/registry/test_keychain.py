"""Where logins are found, and what writing one changes."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

import pytest
from tests.services import forks
from tests.services.helper import KeepingHelper

from goctl.config.model import Login
from goctl.errors import RegistryError, StorageError
from goctl.registry import helpers
from goctl.registry.authfile import HUB_KEY, AuthFile, files, put_login, remove_logins
from goctl.registry.credentials import Secret
from goctl.registry.helpers import Helper
from goctl.registry.keychain import Keychain
from goctl.registry.login import log_out

HOST = "r.example.com"


def entry(name: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{name}:of {name}".encode()).decode()}


class Home:
    """An environment whose files of logins are all in one folder."""

    def __init__(self, folder: Path) -> None:
        self.environment = {
            **os.environ,
            "REGISTRY_AUTH_FILE": str(folder / "named/auth.json"),
            "DOCKER_CONFIG": str(folder / "docker"),
            "XDG_RUNTIME_DIR": str(folder / "run"),
            "XDG_CONFIG_HOME": str(folder / "config"),
        }
        self.files = dict(zip(("named", "docker", "run", "config"), files(self.environment), strict=True))

    def write(self, name: str, content: object) -> Path:
        path = self.files[name]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    def find(self, host: str = HOST, repository: str = "") -> str:
        """The user's name that is found."""
        found = Keychain(lambda _: None, environment=self.environment).find(host, repository)
        return found.username or "a token" if found else ""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def test_the_files_are_asked_in_order(home):
    assert home.find() == ""
    for name in ("config", "run", "docker", "named"):
        home.write(name, {"auths": {HOST: entry(name)}})
        assert home.find() == name


def test_a_file_without_this_host_is_passed_over(home):
    home.write("named", {"auths": {"other.example.com": entry("other")}})
    home.write("run", {"auths": {HOST: entry("run")}})
    assert home.find() == "run"


@pytest.mark.parametrize(
    ("repository", "expected"),
    [
        ("team/app/api", "app"),
        ("team/app", "app"),
        ("team/apple", "team"),
        ("team", "team"),
        ("teams/x", "host"),
        ("", "host"),
    ],
)
def test_the_longest_part_of_a_registry_counts(home, repository, expected):
    auths = {HOST: entry("host"), f"{HOST}/team/app": entry("app"), f"{HOST}/team": entry("team")}
    home.write("run", {"auths": auths})
    assert home.find(HOST, repository) == expected


def test_a_part_says_nothing_of_the_rest(home):
    home.write("run", {"auths": {f"{HOST}/team": entry("team")}})
    assert home.find(HOST, "other/x") == ""


@pytest.mark.parametrize("key", [HUB_KEY, "docker.io", "index.docker.io", "https://index.docker.io/v1"])
def test_docker_hub_has_many_names(home, key):
    home.write("docker", {"auths": {key: entry("hub")}})
    assert home.find("docker.io", "library/alpine") == "hub"


@pytest.mark.parametrize("content", [{"auths": None}, {"auths": {HOST: {}}}, {"credsStore": ""}, {}, "", " \n"])
def test_what_holds_nothing_is_nothing(home, content):
    home.write("docker", content)
    assert home.find() == ""


# Variables


def test_variables_are_read_when_they_are_needed():
    environment = {"U": "me", "P": "s3cret"}
    chain = Keychain(lambda _: None, login=Login(username="env:U", password="env:P"), environment=environment)
    found = chain.find(HOST)
    assert (found.username, found.password.reveal()) == ("me", "s3cret")
    del environment["P"]
    with pytest.raises(RegistryError, match="variable P, which goctl") as caught:
        chain.find(HOST)
    assert "s3cret" not in str(caught.value)


def test_with_variables_nothing_else_is_asked(home):
    home.write("docker", {"auths": {HOST: entry("docker")}})
    login = Login(username="env:U", password="env:P")
    with pytest.raises(RegistryError):
        Keychain(lambda _: None, login=login, environment=home.environment).find(HOST)


def test_an_identity_token_may_be_in_a_variable():
    chain = Keychain(lambda _: None, login=Login(identity_token="env:T"), environment={"T": "s3cret"})
    assert chain.find(HOST).identity_token.reveal() == "s3cret"


# Helpers


def test_a_helper_keeps_lists_and_forgets(tmp_path):
    kept = KeepingHelper(tmp_path / "bin")
    helper = Helper("kept", {**os.environ, "PATH": kept.path})
    assert helper.get(HOST) is None
    helper.store(HOST, "me", Secret("s3cret"))
    assert helper.get(HOST).password.reveal() == "s3cret"
    assert helper.stored() == {HOST: "me"}
    helper.erase(HOST)
    helper.erase(HOST)
    assert kept.kept == {}
    assert kept.calls == ["get", "store", "get", "list", "erase", "erase"]


def test_a_helper_is_asked_once_for_all_repositories(home, tmp_path):
    kept = KeepingHelper(tmp_path / "bin")
    home.write("docker", {"credsStore": "kept"})
    chain = Keychain(lambda _: None, environment={**home.environment, "PATH": kept.path})
    for repository in ("a", "b", "a"):
        assert chain.find(HOST, repository) is None
    assert kept.calls == ["get"]
    Helper("kept", {**os.environ, "PATH": kept.path}).store(HOST, "me", Secret("s3cret"))
    assert chain.find(HOST, "a") is None
    assert chain.find(HOST, "a", anew=True).username == "me"


def test_other_spellings_in_the_file_are_tried_in_the_store(home, tmp_path):
    kept = KeepingHelper(tmp_path / "bin")
    home.environment["PATH"] = kept.path
    Helper("kept", home.environment).store(f"https://{HOST}/v1/", "me", Secret("s3cret"))
    home.write("docker", {"credsStore": "kept", "auths": {f"https://{HOST}/v1/": {}}})
    assert home.find() == "me"


def answer(folder: Path, script: str) -> dict[str, str]:
    """An environment with a helper `odd` that runs a script."""
    kept = KeepingHelper(folder, "odd")
    (folder / "odd.py").write_text(script)
    return {**os.environ, "PATH": kept.path}


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ("print('s3cret ' * 300_000)", "more than"),
        ("import time; time.sleep(60)", "did not answer within"),
        ("print('[]')", "did not answer with credentials"),
        ("print('{\"Secret\": 5}')", "did not answer with credentials"),
        ("import sys; sys.stdout.buffer.write(b'\\xff')", "did not answer with credentials"),
        ("import sys; sys.exit('s3cret')", "get ended with 1"),
        ("import os, signal; os.abort()", "get ended with"),
    ],
)
def test_a_helper_that_is_ill_is_an_error_without_secrets(tmp_path, monkeypatch, script, error):
    monkeypatch.setattr(helpers, "TIMEOUT", 1.0 if "sleep" in script else 30.0)
    with pytest.raises(RegistryError, match=error) as caught:
        Helper("odd", answer(tmp_path / "bin", script)).get(HOST)
    assert "s3cret" not in str(caught.value) + caught.value.hint


# What is written


OTHER = """{
\t"auths": {
\t\t"other.example.com": {
\t\t\t"auth": "b3RoZXI6b3RoZXI=",
\t\t\t"more": {
\t\t\t\t"x": "ü",
\t\t\t\t"y": 2.5
\t\t\t}
\t\t}
\t},
\t"psFormat": "{{.ID}}",
\t"plugins": {
\t\t"x": {
\t\t\t"a": "b"
\t\t}
\t}
}"""


def test_nothing_else_in_the_file_changes(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(OTHER, encoding="utf-8")
    put_login(path, HOST, "me", Secret("s3cret"))
    changed = json.loads(path.read_text(encoding="utf-8"))
    assert AuthFile(path).login(HOST, "").password.reveal() == "s3cret"
    del changed["auths"][HOST]
    assert json.dumps(changed) == json.dumps(json.loads(OTHER))
    assert remove_logins(path, HOST)
    assert json.loads(path.read_text(encoding="utf-8")) == json.loads(OTHER)
    assert not remove_logins(path, HOST)


def test_the_looks_of_the_file_stay(tmp_path):
    path = tmp_path / "config.json"
    for text in (OTHER, json.dumps(json.loads(OTHER), indent=2, ensure_ascii=False) + "\n"):
        path.write_text(text, encoding="utf-8")
        put_login(path, HOST, "me", Secret("s3cret"))
        assert remove_logins(path, HOST)
        assert path.read_text(encoding="utf-8") == text


def test_every_spelling_of_the_host_gives_way(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"auths": {f"https://{HOST}/v1/": entry("old"), f"{HOST}/team": entry("team")}}))
    put_login(path, HOST, "me", Secret("s3cret"))
    assert set(json.loads(path.read_text())["auths"]) == {HOST, f"{HOST}/team"}


@pytest.mark.skipif(os.name == "nt", reason="modes and links are POSIX's")
def test_a_file_of_logins_is_for_its_owner_alone(tmp_path):
    path = tmp_path / "new/config.json"
    put_login(path, HOST, "me", Secret("s3cret"))
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    path.chmod(0o644)
    put_login(path, HOST, "me", Secret("other"))
    assert path.stat().st_mode & 0o777 == 0o600
    assert sorted(one.name for one in path.parent.iterdir()) == ["config.json"]


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_a_link_stays_one(tmp_path):
    real = tmp_path / "dotfiles/config.json"
    real.parent.mkdir()
    real.write_text("{}")
    link = tmp_path / "config.json"
    link.symlink_to(real)
    put_login(link, HOST, "me", Secret("s3cret"))
    assert link.is_symlink()
    assert AuthFile(real).login(HOST, "").username == "me"


@pytest.mark.parametrize("content", ["{", "[]", '{"auths": []}', '{"auths": {"x": 5}}', "\xff", "[" * 100_000])
def test_a_damaged_file_is_left_alone(tmp_path, content):
    path = tmp_path / "config.json"
    path.write_text(content, encoding="latin-1")
    with pytest.raises(RegistryError, match="not what Docker would have written"):
        put_login(path, HOST, "me", Secret("s3cret"))
    assert path.read_text(encoding="latin-1") == content


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_not_ours_is_told(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(StorageError, match="cannot be kept"):
        put_login(tmp_path / "config.json", HOST, "me", Secret("s3cret"))


def test_logging_out_finds_it_wherever_it_is(home, tmp_path):
    kept = KeepingHelper(tmp_path / "bin")
    home.environment["PATH"] = kept.path
    Helper("kept", home.environment).store(f"https://{HOST}", "me", Secret("s3cret"))
    home.write("docker", {"credsStore": "kept", "auths": {f"https://{HOST}": {}, "other": entry("other")}})
    podmans = home.write("run", {"auths": {HOST: entry("run")}})
    assert log_out(HOST, environment=home.environment) == ["docker-credential-kept", str(podmans)]
    assert home.find() == ""
    assert home.find("other") == "other"
    assert kept.kept == {}
    assert log_out(HOST, environment=home.environment) == []


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("--registry", "me:hunter2@r.example.com", "--username", "me"), 3, "no registry"),
        (("--registry", "https://r.example.com", "--username", "me"), 3, "no registry"),
        (("--registry", "corp"), 3, "--username NAME"),
        (("--registry", "corp", "--username", "a:b"), 3, "colon"),
        (("--username", "me"), 3, "add --registry NAME: corp, hub"),
        (("--registry", "corp", "--username", "me"), 3, "holds no password"),
    ],
)
def test_the_task_says_what_it_lacks(tmp_path, words, code, text):
    (tmp_path / "tasks.py").write_text('from goctl import namespace\n\nns = namespace("goctl.toml")\n')
    toml = '[registries.corp]\nurl = "r.example.com/a"\n[registries.hub]\nurl = "docker.io/a"\n'
    (tmp_path / "goctl.toml").write_text(f'[project]\nname = "shop"\n[targets.api]\npackages = ["./api"]\n{toml}')
    done = forks.run(["invoke", "registry.login", *words], cwd=tmp_path, env=os.environ, input="\n")
    assert done.returncode == code
    assert text in " ".join((done.stdout + done.stderr).split())
    assert "hunter2" not in done.stdout + done.stderr
