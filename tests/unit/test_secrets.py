"""Secrets that a release meets, and where they must never turn up: output, argument lists, layers, records, lock files."""

from __future__ import annotations

import base64
import gzip
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from tests.services import forks
from tests.services.authority import Authority

from goctl.registry.credentials import Credentials, Secret
from goctl.testing import Registry

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="the recording commands are shell scripts"),
]

NAMES = """docker-password wrong-password identity-token registry-token helper-secret proxy-userinfo goproxy-userinfo
toml-goproxy github-token aws-key pem netrc git-remote registry-userinfo base-userinfo options-token go-env-token
realm-userinfo location-signature echoed-answer platform-env-token ldflags-free-env env-password login-password client-key
mirror-userinfo literal-password""".split()
#: Each with letters that URLs and base64 write in another way.
SECRETS = {name: f"s3cr3t/{name}+{number:02d}?&=x~y" for number, name in enumerate(NAMES)}
SECRETS["pem"] = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKc\npem0kLmNo\n-----END PRIVATE KEY-----"
for name in (
    "proxy-userinfo",
    "goproxy-userinfo",
    "toml-goproxy",
    "git-remote",
    "registry-userinfo",
    "base-userinfo",
    "mirror-userinfo",
):
    SECRETS[name] = f"s3cr3t-{name}-x0x"  # as a URL's userinfo takes it

TOML = """[project]
name = "shop"
version = "1.0"
[go]
env = {{ GOCTL_API_TOKEN = "{go_env}" }}
{go}
[platforms."linux/amd64"]
env = {{ GOCTL_OTHER_TOKEN = "{platform_env}" }}
[targets.api]
packages = ["./cmd/api"]
platforms = ["linux/amd64"]
image = {{ base = "{base}" }}
[registries.token]
url = "{token}/shop"
retries = 0
[registries.helped]
url = "{helped}/shop"
retries = 0
[registries.named]
url = "{named}/shop"
retries = 0
credentials = {{ username = "env:CORP_USER", password = "env:CORP_TOKEN" }}
ca = "{certificates}/ca.pem"
client-certificate = "{certificates}/me.pem"
client-key = "{certificates}/me.key"
{more}
[publish]
to = ["token", "helped", "named"]
"""
TASKS = 'from goctl import namespace\n\nns = namespace("goctl.toml")\n'
EVERY = """release build image push plan explain config doctor mod.download mod.verify mod.vendor mod.tidy go.env
base.update base.status mod.init""".split()
#: What asks a registry, each with what it must be given.
LOOKS = (
    ("tags.list", "token/api"),
    ("tags.delete", "token/api", "--keep", "0"),
    ("manifest.inspect", "token/api:1.0"),
    ("manifest.create", "token/api:all", "--amend", "token/api:1.0"),
    ("referrer.attach", "token/api:1.0", "--file", "goctl.toml", "--artifact-type", "text/plain"),
    ("referrer.list", "token/api:1.0"),
)


def forms(secret: str) -> set[bytes]:
    """The spellings a secret may turn up in."""
    plain = secret.encode()
    found = {plain, quote(secret, safe="").encode(), quote(secret).encode(), quote_plus(secret).encode()}
    found |= {
        plain.hex().encode(),
        plain.hex().upper().encode(),
        json.dumps(secret)[1:-1].encode(),
        repr(secret)[1:-1].encode(),
    }
    for shift in range(3):  # base64 of a longer text that holds it, wherever it begins
        whole = base64.b64encode(b"u" * shift + plain)
        inner = whole[(4 if shift else 0) : len(whole) // 4 * 4 - 4]
        found |= {inner, inner.replace(b"+", b"-").replace(b"/", b"_")}
    found |= {line.encode() for line in secret.splitlines()[1:-1]}
    return {form for form in found if len(form) > 8}


class Place:
    """A project, commands that record how they are called, and all that came out of it."""

    def __init__(self, folder: Path, token: Registry, helped: Registry, named: Registry) -> None:
        self.folder, self.token, self.helped, self.named = folder, token, helped, named
        self.root = folder / "shop"
        self.outputs: dict[str, bytes] = {}
        self.codes: dict[str, int] = {}
        self.called_again = ""
        self._write_project()
        self._write_commands()
        self._write_credentials(SECRETS["docker-password"])

    def _write_project(self) -> None:
        (self.root / "cmd/api").mkdir(parents=True)
        (self.root / "cmd/api/main.go").write_text("package main\n\nfunc main() {}\n")
        (self.root / "go.mod").write_text("module example.com/shop\n\ngo 1.24\n")
        (self.root / "tasks.py").write_text(TASKS)
        self.toml()
        remote = f"https://me:{SECRETS['git-remote']}@git.example/me/shop.git"
        for words in (["init", "-q"], ["remote", "add", "origin", remote]):
            subprocess.run(["git", *words], cwd=self.root, check=True)

    def toml(self, *, base: str = "scratch", go: str = "", more: str = "", token: str = "") -> None:
        words = {"token": token or self.token.address, "helped": self.helped.address, "base": base, "go": go, "more": more}
        words |= {"named": self.named.address, "certificates": (self.folder / "certificates").as_posix()}
        secrets = {"go_env": SECRETS["go-env-token"], "platform_env": SECRETS["platform-env-token"]}
        (self.root / "goctl.toml").write_text(TOML.format(**words, **secrets))

    def _write_commands(self) -> None:
        bin = self.folder / "bin"
        bin.mkdir()
        for name in ("go", "git"):
            real = shutil.which(name)
            line = f"""printf '%s\\n' "$0 $*" >> '{self.folder}/argv'\nexec '{real}' "$@"\n"""
            (bin / name).write_text("#!/bin/sh\n" + line)
        answer = json.dumps({"ServerURL": self.helped.address, "Username": "user", "Secret": SECRETS["helper-secret"]})
        (bin / "docker-credential-kept").write_text(
            f"""#!/bin/sh\nprintf '%s\\n' "$0 $*" >> '{self.folder}/argv'\ncat > /dev/null\necho '{answer}'\n"""
        )
        for file in bin.iterdir():
            file.chmod(0o755)

    def _write_credentials(self, password: str) -> None:
        home = self.folder / "home"
        (home / ".docker").mkdir(parents=True, exist_ok=True)
        auths = {
            self.token.address: {"auth": base64.b64encode(f"user:{password}".encode()).decode()},
            "identity.example": {"identitytoken": SECRETS["identity-token"], "username": "user"},
            "registry.example": {"registrytoken": SECRETS["registry-token"]},
        }
        content = {"auths": auths, "credHelpers": {self.helped.address: "kept"}}
        (home / ".docker/config.json").write_text(json.dumps(content))
        (home / ".netrc").write_text(f"machine git.example login me password {SECRETS['netrc']}\n")

    def wrong_password(self) -> None:
        self._write_credentials(SECRETS["wrong-password"])

    def right_password(self) -> None:
        self._write_credentials(SECRETS["docker-password"])

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self.folder / "home"),
            "DOCKER_CONFIG": str(self.folder / "home/.docker"),
            "GOPATH": str(self.folder / "gopath"),
            "GOMODCACHE": str(self.folder / "gopath/mod"),
            "GOCACHE": os.environ.get("GOCACHE") or os.path.expanduser("~/.cache/go-build"),
            "GOFLAGS": "-modcacherw",
            "GOSUMDB": "off",
            "GOPROXY": f"http://me:{SECRETS['goproxy-userinfo']}@127.0.0.1:9",
            "HTTPS_PROXY": f"http://me:{SECRETS['proxy-userinfo']}@127.0.0.1:9",
            "GITHUB_TOKEN": SECRETS["github-token"],
            "AWS_SECRET_ACCESS_KEY": SECRETS["aws-key"],
            "SIGNING_KEY": SECRETS["pem"],
            "LICENSE": SECRETS["ldflags-free-env"],
            "CORP_USER": "user",
            "CORP_TOKEN": SECRETS["env-password"],
        }

    def invoke(self, what: str, *args: str, input: str = "", **more: str) -> None:
        done = forks.run(["invoke", *args], cwd=self.root, env={**self.environment, **more}, input=input)
        name = f"{what}: {' '.join(args)}"
        self.outputs[name] = (done.stdout + done.stderr).encode()
        self.codes[name] = done.returncode

    def every_task(self, what: str) -> None:
        for task in EVERY:
            args = (task, "api") if task == "explain" else (task,)
            self.invoke(what, *args)
            if task not in ("mod.vendor", "mod.tidy", "mod.verify"):
                self.invoke(what, *args, "--json")

    @cached_property
    def contents(self) -> list[tuple[str, bytes]]:
        """All that was said, written and stored, and the names of files, once there is no more to come."""
        return list(self._contents())

    def _contents(self) -> Iterator[tuple[str, bytes]]:
        yield from self.outputs.items()
        for name in ("argv-before", "argv"):
            yield "argument lists", (self.folder / name).read_bytes()
        ours = {"goctl.toml", "config"}
        for path in self.root.rglob("*"):
            yield "a file's name", str(path).encode()
            if path.is_file() and path.name not in ours:
                yield from _unpacked(str(path.relative_to(self.root)), path.read_bytes())
        for registry in (self.token, self.helped, self.named):
            for name, repository in registry.holdings.repositories.items():
                for digest in (*repository.blobs, *repository.manifests):
                    with registry.holdings.contents.open(digest) as file:
                        yield from _unpacked(f"{name}@{digest}", file.read())
                yield f"{name}'s tags", " ".join(repository.tags).encode()


def _unpacked(name: str, content: bytes) -> Iterator[tuple[str, bytes]]:
    yield name, content
    if content[:2] == b"\x1f\x8b":
        yield f"{name}, unpacked", gzip.decompress(content)


def _failures(place: Place) -> None:
    """A release fails in each way that has a secret at hand."""
    echo = json.dumps({"errors": [{"code": "DENIED", "message": f"not for user:{SECRETS['docker-password']}"}]}).encode()
    basic = base64.b64encode(f"user:{SECRETS['docker-password']}".encode())
    for content in (echo, b"Authorization: Basic " + basic, quote(SECRETS["docker-password"], safe="").encode()):
        place.token.fault(path="/v2/shop/*", times=50, status=403, content=content)
        _fresh(place, "echo")
        for look in LOOKS:
            place.invoke("echo", *look)
        _quiet(place.token)
    signed = f"http://127.0.0.1:9/upload?X-Signature={quote(SECRETS['location-signature'], safe='')}&part=1"
    place.token.fault(method="POST", path="*/uploads/*", times=50, status=202, headers={"Location": signed})
    _fresh(place, "signed location")
    _quiet(place.token)
    place.token.realm = f"http://me:{quote(SECRETS['realm-userinfo'], safe='')}@127.0.0.1:9/token"
    _fresh(place, "realm")
    place.token.realm = ""
    place.wrong_password()
    _fresh(place, "wrong password")
    place.invoke("wrong password", "doctor")
    place.right_password()
    _logins(place)
    place.toml(token=f"me:{SECRETS['registry-userinfo']}@{place.token.address}")
    place.every_task("registry with userinfo")
    place.toml(base=f"me:{SECRETS['base-userinfo']}@{place.token.address}/base:1")
    place.every_task("base with userinfo")
    place.toml(more=f'[registries.x]\nurl = "{place.token.address}/x"\noptions = {{ token = "{SECRETS["options-token"]}" }}')
    for task in ("config", "plan", "doctor", "release"):
        place.invoke("unknown option", task)
    place.toml(go=f'proxy = ["http://me:{SECRETS["toml-goproxy"]}@127.0.0.1:9"]')
    (place.root / "go.mod").write_text("module example.com/shop\n\ngo 1.24\n\nrequire example.com/absent v1.2.3\n")
    (place.root / "cmd/api/main.go").write_text('package main\n\nimport _ "example.com/absent"\n\nfunc main() {}\n')
    place.every_task("proxy in goctl.toml")
    place.toml()
    place.every_task("proxy in the environment")
    (place.root / "go.mod").write_text("module example.com/shop\n\ngo 1.24\n")
    (place.root / "cmd/api/main.go").write_text("package main\n\nfunc main() { undefined() }\n")
    _fresh(place, "compiler")


def _logins(place: Place) -> None:
    """Logins in other ways: by task, from variables that are wrong or missing, and in the file where they may not be."""
    secret = SECRETS["login-password"]
    log_in = ("registry.login", "--registry", "named", "--username", "user")
    place.invoke("refused", *log_in, input=f"{secret}\n")
    place.named.password = secret
    for more in ((), ("--json",)):
        place.invoke("login", *log_in, *more, input=f"{secret}\n")
        place.invoke("login", "registry.logout", "--registry", "named", *more)
    # The variable is wrong now, and then it is not there.
    _fresh(place, "wrong variable")
    place.invoke("wrong variable", "doctor")
    place.invoke("no variable", "release", CORP_TOKEN="")
    place.named.password = SECRETS["env-password"]
    place.toml(more=f'[registries.x]\nurl = "x.example"\nmirrors = ["me:{SECRETS["mirror-userinfo"]}@m.example.com"]')
    place.every_task("mirror with userinfo")
    literal = f'{{ username = "env:U", password = "{SECRETS["literal-password"]}" }}'
    place.toml(more=f'[registries.x]\nurl = "x.example"\ncredentials = {literal}')
    place.every_task("literal password")
    place.toml(more=f'[registries.x]\nurl = "x.example"\ncredentials = "{SECRETS["literal-password"]}"')
    place.every_task("literal login")
    place.toml()


def _fresh(place: Place, what: str) -> None:
    """A push that has everything still to send."""
    for registry in (place.token, place.named):
        registry.holdings.repositories.clear()
    place.invoke(what, "release")
    place.invoke(what, "push", "--json")


def _quiet(registry: Registry) -> None:
    while registry.take_fault("POST", "/v2/shop/blobs/uploads/") is not None:
        pass


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A project in which every task was run, and failed in many ways."""
    if shutil.which("go") is None or shutil.which("git") is None:
        pytest.skip("needs go and git on PATH")
    passwords = SECRETS["docker-password"], SECRETS["helper-secret"]
    folder = tmp_path_factory.mktemp("secrets")
    authority = Authority(folder / "certificates")
    SECRETS["client-key"] = authority.client("me")[1].read_text()
    tls = authority.context(ask_client=True)
    with (
        Registry(auth="token", password=passwords[0]) as token,
        Registry(auth="basic", password=passwords[1]) as helped,
        Registry(auth="basic", password=SECRETS["env-password"], tls=tls) as named,
    ):
        made = Place(folder, token, helped, named)
        made.every_task("well")
        made.invoke("before", "release")
        (made.folder / "argv").rename(made.folder / "argv-before")
        made.invoke("again", "release")
        made.called_again = (made.folder / "argv").read_text()
        _failures(made)
        yield made


def test_the_runs_did_what_they_were_for(place: Place) -> None:
    # Else nothing found would say nothing.
    assert place.codes["well: release"] == 0, place.outputs["well: release"].decode()
    for what in ("echo", "signed location", "realm", "wrong password"):
        assert place.codes[f"{what}: release"] == 8, place.outputs[f"{what}: release"].decode()
    assert place.codes["refused: registry.login --registry named --username user"] == 8
    assert place.codes["login: registry.login --registry named --username user"] == 0
    assert place.codes["login: registry.logout --registry named"] == 0
    for what in ("wrong variable", "no variable"):
        assert place.codes[f"{what}: release"] == 8, place.outputs[f"{what}: release"].decode()
    for what in ("mirror with userinfo", "literal password", "literal login"):
        assert place.codes[f"{what}: release"] == 3, place.outputs[f"{what}: release"].decode()
    assert place.codes["well: doctor"] == 0, place.outputs["well: doctor"].decode()
    assert any(request.authorization.startswith("Basic") and request.status < 300 for request in place.named.requests)
    assert place.codes["registry with userinfo: release"] == 3
    assert place.codes["base with userinfo: release"] == 3
    assert place.codes["unknown option: doctor"] == 3
    assert place.codes["proxy in the environment: release"] == 5
    assert place.codes["proxy in goctl.toml: release"] in (3, 5)
    assert place.codes["compiler: release"] == 6
    authorizations = {request.authorization.partition(" ")[0] for request in place.token.requests}
    assert {"Basic", "Bearer"} <= authorizations
    assert any(request.authorization.startswith("Basic") and request.status < 300 for request in place.helped.requests)
    called = (place.folder / "argv-before").read_text() + (place.folder / "argv").read_text()
    for words in ("go build", "go list", "go env", "go mod download", "docker-credential-kept get"):
        assert words in called
    assert len(NAMES) >= 20
    assert len(place.outputs) > 100


def test_what_is_done_with_secrets_is_known_again(place: Place) -> None:
    # Records hold digests in their place; with these they must still be found.
    assert place.codes["again: release"] == 0
    assert b"nothing to do" in place.outputs["again: release"]
    assert "/go list" not in place.called_again
    assert "/go build" not in place.called_again


def test_no_task_ends_in_a_traceback(place: Place) -> None:
    assert [name for name, text in place.outputs.items() if b"Traceback" in text] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_secret_turns_up_nowhere(place: Place, name: str) -> None:
    spelled = forms(SECRETS[name])
    assert sorted({where for where, content in place.contents if any(form in content for form in spelled)}) == []


def test_tokens_that_the_registry_gave_turn_up_nowhere(place: Place) -> None:
    told = {request.authorization.partition(" ")[2].encode() for request in place.token.requests if request.authorization}
    assert len(told) > 1
    assert sorted({where for where, content in place.contents if any(one in content for one in told)}) == []


def test_what_is_looked_for_would_be_found() -> None:
    secret = SECRETS["docker-password"]
    spelled = forms(secret)
    for text in (
        secret,
        f"user:{secret}",
        f"x{secret}",
        quote(secret, safe=""),
        secret.encode().hex(),
        json.dumps([secret]),
    ):
        assert any(form in text.encode() for form in spelled)
    for before in ("user:", "u", "us", ""):
        assert any(form in base64.b64encode(f"{before}{secret}".encode()) for form in spelled)


def test_credentials_show_themselves_to_nobody() -> None:
    secret = SECRETS["docker-password"]
    found = Credentials("user", Secret(secret), Secret(secret), Secret(secret))
    shown = f"{found!r} {found} {[found]}"
    assert secret not in shown
    assert secret not in f"{found.password} {found.password!r} {[found.password]}"
