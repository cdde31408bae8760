"""What of `go env` matters to a release, in words."""

from __future__ import annotations

import msgspec

from goctl.contracts import Host
from goctl.errors import ModuleError
from goctl.golang.environment import child_environment
from goctl.system.process import run
from goctl.values import without_userinfo

_MEANINGS = {
    "GOVERSION": "the version that builds this module, after GOTOOLCHAIN had its way",
    "GOROOT": "where this toolchain is",
    "GOTOOLCHAIN": "whether go may fetch the version that go.mod asks for (auto), or never (local)",
    "GOPATH": "where go keeps downloaded modules and installed programs",
    "GOMODCACHE": "downloaded modules; safe to delete, will be downloaded again",
    "GOCACHE": "compiled packages; safe to delete, will be compiled again",
    "GOPROXY": "where modules are downloaded from, in this order",
    "GOPRIVATE": "modules that are fetched directly, and not checked with GOSUMDB",
    "GOSUMDB": "who vouches for the content of public modules",
    "GOFLAGS": "flags that every go command gets",
    "GOWORK": "the workspace in use; empty for none",
    "GOMOD": "the go.mod in use",
}


def go_env_rows(host: Host) -> list[tuple[str, str, str]]:
    """Name, value and meaning of each setting."""
    completed = run(
        (host.toolchain().command, "env", "-json", *_MEANINGS),
        cwd=host.module if host.module.is_dir() else host.root,
        env=child_environment(host.config.go, host.config.go.env),
        error=ModuleError,
    )
    values = msgspec.json.decode(completed.stdout, type=dict[str, str])
    return [(name, without_userinfo(values.get(name, "")), meaning) for name, meaning in _MEANINGS.items()]
