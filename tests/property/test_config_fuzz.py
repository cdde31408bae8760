"""Whatever stands in goctl.toml, the answer is a configuration or a ConfigError, and it comes soon."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from goctl.config import show
from goctl.config.lines import index
from goctl.config.loader import Loaded, load
from goctl.errors import ConfigError

SEEDS = [
    (Path(__file__).resolve().parents[1] / "unit" / "golden" / "many-problems.toml").read_text(encoding="utf-8"),
    '[project]\nname = "shop"\n[targets.api]\npackages = ["./cmd/api"]\nimage = { base = "static", ports = [80] }\n',
    (Path(__file__).resolve().parents[2] / "goctl.toml").read_text(encoding="utf-8"),
]
SECONDS = 1.0
PIECES = st.sampled_from(
    ["[", "]", "{", "}", '"', "'", '"""', "'''", "\n", "=", ".", "#", "\\", "{version}", "[[x]]\n", "true", "nan", "1e999",
     "0x" + "f" * 40, "9" * 5000, "1979-05-27T07:32:00Z", "\0", "\ufeff", "\u2028", "../", "image=1\n", "[profiles.x]\n"]
)  # fmt: skip


def answer(path: Path, content: bytes) -> Loaded | ConfigError:
    path.write_bytes(content)
    started = time.process_time()
    found: Loaded | ConfigError
    try:
        found = load(path, environment={})
    except ConfigError as error:
        found = error
    assert time.process_time() - started < SECONDS
    assert show.settings(found) if isinstance(found, Loaded) else found.problems
    return found


@st.composite
def mutated(draw: st.DrawFn) -> str:
    text = draw(st.sampled_from(SEEDS))
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 30)))
        text = text[:start] + draw(PIECES | st.text(max_size=8)) + text[end:]
    return text


VALUES = st.sampled_from(
    ["1", "-1", "true", '""', '"x"', "[]", "{}", "[[]]", '["a"]', "{a={b=1}}", "1.5", "nan", "1979-05-27", "[1,'a',{}]"]
)
KEYS = st.sampled_from(
    "schema project project.name go go.env go.env.A platforms platforms.default platforms.x.env image image.ports "
    "image.base targets targets.a targets.a.packages targets.a.image targets.a.image.env targets.a.image.assets "
    "targets.a.stamp registries registries.r registries.r.url registries.r.options publish publish.to release "
    "release.stages release.dist engines engines.x profiles profiles.p profiles.p.targets profiles.p.image "
    "profiles.p.targets.a.image x".split()
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=mutated())
def test_mutated_files(tmp_path: Path, text: str) -> None:
    answer(tmp_path / "goctl.toml", text.encode("utf-8", "surrogatepass"))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pairs=st.dictionaries(KEYS, VALUES, max_size=8))
def test_any_value_anywhere(tmp_path: Path, pairs: dict[str, str]) -> None:
    answer(tmp_path / "goctl.toml", "".join(f"{key} = {value}\n" for key, value in pairs.items()).encode())


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200))
@example(b"\xff\xfe")
def test_any_bytes(tmp_path: Path, content: bytes) -> None:
    answer(tmp_path / "goctl.toml", content)


@settings(max_examples=200, deadline=None)
@given(text=mutated() | st.text())
def test_lines_never_fail(text: str) -> None:
    assert all(line > 0 and column > 0 for line, column in index(text).values())


BOMBS = {
    "arrays": "a=" + "[" * 200_000,
    "tables": "a=" + "{a=" * 60_000,
    "lines": "a=[\n" * 50_000,
    "dotted": "a" + ".a" * 100_000 + "=1",
    "short dotted": "\n".join(f"{'a.' * 14}b{n}=1" for n in range(7000)),
    "quotes": '"' * 200_000,
    "escapes": 'a="' + "\\" * 200_000,
    "open strings": ('"a\\\n' * 40_000),
    "open texts": "a='''" * 40_000,
    "number": "a=" + "9" * 200_000,
    "hexadecimal": "schema=0x" + "f" * 200_000,
    "unknown keys": "\n".join(f"k{n}=1" for n in range(25_000)),
    "targets": "\n".join(f"[targets.k{n}]\npackages=['./a']" for n in range(6500)),
    "wrong targets": "\n".join(f"[targets.k{n}]\npackage=1" for n in range(7000)),
    "profiles": "\n".join(f"[profiles.p{n}.image]\nuser='1'" for n in range(50))
    + "".join(f"\n[targets.k{n}]\npackages=['./a']" for n in range(5000)),
    "all profiles": "\n".join(f"[profiles.p{n}]" for n in range(15_000)),
    "braces": "[targets.a]\npackages=['a']\nldflags=['" + "{a" * 100_000 + "']",
    "registries": "publish.to=[" + "'x'," * 20_000 + "]\n" + "\n".join(f"[registries.r{n}]\nurl='a.b'" for n in range(4000)),
    "platforms": "platforms.default=[" + "'linxu/amd65'," * 17_000 + "]",
    "repository": "[targets.a]\npackages=['a']\nimage.repository='" + "a-" * 100_000 + "'",
    "long": "#" * 2_000_000,
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs(tmp_path: Path, name: str) -> None:
    answer(tmp_path / "goctl.toml", BOMBS[name].encode())
