"""What of `go env` matters to a release, in words: each setting's value, what it means here, and where it comes from."""

from __future__ import annotations

from goctl.golang.advice.situation import DEFAULT, GOROOT, TOML, WRITTEN, Situation, hidden

COLUMNS = ("name", "value", "from", "meaning")
_MEANINGS = {
    "GOVERSION": "the version that builds this module, after GOTOOLCHAIN had its way",
    "GOROOT": "where this toolchain is; go finds it by itself",
    "GOTOOLCHAIN": "whether go may fetch the version that go.mod asks for (auto), or never (local)",
    "GOENV": "the file that `go env -w` writes",
    "GOPATH": "where go keeps downloaded modules and installed programs",
    "GOMODCACHE": "downloaded modules; safe to delete, will be downloaded again",
    "GOCACHE": "compiled packages; safe to delete, will be compiled again",
    "GOTMPDIR": "where go builds what goctl gives no folder of its own; empty for the system's",
    "GOPROXY": "where modules are downloaded from, in this order",
    "GOPRIVATE": "modules that are fetched directly, and not checked with GOSUMDB",
    "GONOPROXY": "modules that are fetched directly; GOPRIVATE's unless set",
    "GONOSUMDB": "modules that are not checked with GOSUMDB; GOPRIVATE's unless set",
    "GOINSECURE": "modules that may come without TLS",
    "GOAUTH": "how go finds credentials for servers of modules",
    "GOSUMDB": "who vouches for the content of public modules",
    "GOFLAGS": "flags that every go command gets",
    "GO111MODULE": "off ignores go.mod; empty is on",
    "GOEXPERIMENT": "experiments of the toolchain; part of every key",
    "GOWORK": "the workspace in use; empty for none",
    "GOMOD": "the go.mod in use",
    "CC": 'the C compiler, for targets with cgo = "host"',
}
#: What go finds out, and nobody sets.
_FOUND = frozenset(("GOVERSION", "GOMOD"))


def go_env_rows(situation: Situation) -> list[tuple[str, ...]]:
    """A row of COLUMNS for each setting. Where go refuses to answer, values are those that were set."""
    return [
        (name, hidden(name, _value(situation, name)), _origin(situation, name), _here(situation, name) or meaning)
        for name, meaning in _MEANINGS.items()
    ]


def _value(s: Situation, name: str) -> str:
    # Go answers with what it made of a setting: `off` for a GOCACHE that is relative, a file for a GOWORK that it found.
    if name == "GOENV":
        return s.settings_file or "off"
    return s.values.get(name, "") or s.value(name) if name in ("GOWORK", *_FOUND) else s.value(name)


def _here(s: Situation, name: str) -> str:
    """What a setting means in this project, where there is more to say than in general."""
    if name == "GOTOOLCHAIN" and s.choice is not None:
        return s.choice.words
    if name == "GOMODCACHE" and s.requirements:
        there = len(s.requirements) - len(s.missing)
        return f"{_MEANINGS[name]}; {there} of the {len(s.requirements)} modules that go.mod requires are there"
    if name == "GOPROXY" and s.vendored:
        return f"{_MEANINGS[name]}; not asked here, for modules are vendored"
    return ""


def _origin(s: Situation, name: str) -> str:
    origin = s.origin(name)
    if origin == WRITTEN:
        return f"{WRITTEN} ({s.settings_file})"
    if origin == GOROOT:
        return f"{GOROOT} ({s.goroot})"
    if origin == TOML:
        return "goctl.toml"
    if origin == DEFAULT:
        return "found by go" if name in _FOUND or (name == "GOWORK" and s.work) else "go's default"
    return origin
