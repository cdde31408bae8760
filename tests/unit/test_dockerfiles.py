"""Dockerfiles and bake files as they are made, and Dockerfiles as they are read and judged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import pytest

from goctl.buildkit import hcl
from goctl.buildkit.bakefile import Places, bake_file
from goctl.buildkit.context import ignore_file
from goctl.buildkit.dockerfile import distribution, lines, text
from goctl.buildkit.dockerfile_recipes import Recipe, Sources, recipes
from goctl.buildkit.parsing import parse
from goctl.buildkit.practices import PRACTICES, findings
from goctl.config.model import BuildKit, Config, Dockerfile, Image, Project, Registry, Target
from goctl.errors import ConfigError
from goctl.plan.facts import Facts, Git
from goctl.plan.make import make
from goctl.plan.model import Settings
from goctl.values import Platform

GOLDEN = Path(__file__).parent / "golden" / "dockerfiles"
Compile = Literal["host", "buildkit"]
PLATFORMS = tuple(Platform.parse(name) for name in ("linux/amd64", "linux/arm64", "linux/arm/v7"))
SOURCES = Sources(
    module="services",
    modules=("pkg/log", "services"),
    module_files=("pkg/log/go.mod", "services/go.mod", "services/go.sum"),
    files={
        "api": ("pkg/log/log.go", "services/cmd/api/main.go", "services/internal/web/page.html",
                "services/internal/web/web.go"),
        "worker": ("pkg/log/log.go", "services/cmd/worker/main.go"),
    },
    go="1.26.1",
)  # fmt: skip
FACTS = Facts(git=Git("a" * 40, "aaaaaaa", "main", "v1.0", 1_700_000_000, dirty=False), version="1.0")


def configuration(compile_: Compile) -> Config:
    return Config(
        project=Project(name="shop"),
        targets={
            "api": Target(
                packages=("./cmd/api",),
                ldflags=("-s",),
                stamp="label",
                image=Image(
                    repository="shop/api",
                    compile=compile_,
                    base="registry.example.com/debian:12",
                    assets={"web/$dist [1]": "/srv/www"},
                    env={"A": 'a $HOME "b" \\'},
                    ports=(8080,),
                    command=("-config", "$x"),
                    annotations={"a:b": "{version}"},
                    dockerfile=Dockerfile(
                        packages=("ca-certificates",), args={"COMMIT": "{git.sha}"}, secrets={"netrc": "file:ci/netrc"}
                    ),
                ),
            ),
            "worker": Target(
                packages=("./cmd/worker",), ldflags=("-s",), image=Image(repository="shop/worker", compile=compile_)
            ),
        },
        registries={"corp": Registry(url="registry.example.com:5000/acme")},
        buildkit=BuildKit(
            cache_to=("type=registry,ref={registry}/cache:{target},mode=max", "type=gha"), provenance="max", sbom=True
        ),
    )


def made(config: Config) -> tuple[dict[str, Recipe], hcl.BakeFile]:
    plan = make(config, FACTS, dict.fromkeys(config.targets, PLATFORMS))
    found = recipes(config, plan, SOURCES, "dist")
    assert found.left == ()
    document = bake_file(config, plan, found.recipes, Places("dist/buildkit", "oci-layout://dist/buildkit/static"))
    return {recipe.target: recipe for recipe in found.recipes}, document


def golden(name: str, content: str) -> None:
    path = GOLDEN / name
    assert path.read_text(encoding="utf-8") == content, f"{name} is another one now; see what differs before it is replaced"


@pytest.mark.parametrize("compile_", ["host", "buildkit"])
def test_the_files_are_those_of_before(compile_: Compile) -> None:
    found, document = made(configuration(compile_))
    for name, recipe in found.items():
        golden(f"{compile_}-{name}.Dockerfile", text(recipe))
        golden(f"{compile_}-{name}.dockerignore", ignore_file(recipe))
    golden(f"{compile_}-bake.json", hcl.to_json(document).decode())
    golden(f"{compile_}-bake.hcl", hcl.to_hcl(document).decode())


def test_each_practice_of_a_line_has_words() -> None:
    for recipe in made(configuration("buildkit"))[0].values():
        assert {line.practice for line in lines(recipe)} - {""} <= set(PRACTICES)


def test_what_goctl_writes_follows_its_own_practices() -> None:
    both: tuple[Compile, ...] = ("host", "buildkit")
    for compile_ in both:
        for recipe in made(configuration(compile_))[0].values():
            found = findings(parse(text(recipe)), ignore=True)
            # Its static base is a named context, which has no tag, and brings a nonroot user.
            assert [one for one in found if not recipe.is_static] == []


def test_targets_that_are_compiled_alike_share_the_stage() -> None:
    found, _ = made(configuration("buildkit"))
    assert found["api"].secrets != found["worker"].secrets
    assert found["api"].compilation != found["worker"].compilation
    config = configuration("buildkit")
    api = config.targets["worker"]
    both = Config(targets={"api": api, "worker": api})
    shared, _ = made(both)
    assert shared["api"].compilation == shared["worker"].compilation


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        ("debian:12", "apt-get install --yes --no-install-recommends"),
        ("localhost:5000/alpine:3.20", "apk add --no-cache"),
        ("registry.access.redhat.com/ubi9/ubi-minimal:9", "microdnf install"),
        ("fedora:41", "dnf install"),
        ("opensuse/leap:15.6", "zypper --non-interactive install --no-recommends"),
    ],
)
def test_packages_are_installed_as_their_distribution_does(base: str, expected: str) -> None:
    recipe = Recipe(
        target="api", base=base, platforms=PLATFORMS, programs=(), assets=(), settings=Settings(), dist="dist/api",
        packages=("tzdata",),
    )  # fmt: skip
    content = text(recipe)
    assert expected in content
    assert findings(parse(content), ignore=True) == []
    assert "USER 65532:65532" in content


def test_a_base_of_nobody_knows_whom_is_refused() -> None:
    recipe = Recipe(
        target="api",
        base="corp/base:1",
        platforms=(),
        programs=(),
        assets=(),
        settings=Settings(),
        dist="x",
        packages=("a",),
    )
    with pytest.raises(ConfigError, match="whose packages corp/base:1 has"):
        distribution(recipe)


BAD = """\
# syntax=docker/dockerfile:1
ARG BASE=golang
FROM ${BASE}:latest AS all
ENV API_TOKEN=x
COPY . .
# a comment
RUN go mod download && \\
  # another

  go build -o /app .
ADD https://example.com/tool.tar.gz /tool
RUN apt-get update
RUN apt-get install -y curl
RUN <<EOF
USER nobody
EOF
CMD /app
"""


def test_a_bad_dockerfile_is_told_line_by_line() -> None:
    found = {(one.line, one.practice) for one in findings(parse(BAD), ignore=False)}
    assert found == {
        (1, "syntax"), (3, "pinned"), (3, "nonroot"), (3, "build-platform"), (4, "secrets"), (5, "cache-order"),
        (5, "ignore"),
        (7, "cache-mounts"), (7, "multi-stage"), (7, "reproducible"), (11, "add-url"), (12, "packages"), (13, "packages"),
        (17, "exec-form"),
    }  # fmt: skip


def test_a_dockerfile_is_divided_as_buildkit_divides_it() -> None:
    found = parse(
        "# escape=`\r\n\r\nARG V=1\r\nFROM --platform=$BUILDPLATFORM base:${V:-2} as Build\r\nRUN a `\r\n  b\r\n"
        "RUN <<-'X' cat\r\n\tFROM nothing\r\n\tX\r\nFROM build\r\nRUN dir C:\\\r\n"
    )
    assert found.problems == ()
    assert [one.name for one in found.instructions] == ["ARG", "FROM", "RUN", "RUN", "FROM", "RUN"]
    assert [(stage.base, stage.name, stage.parent) for stage in found.stages] == [("base:1", "build", -1), ("build", "", 0)]
    assert found.instructions[2].value == "a   b"
    assert found.instructions[3].heredocs[0].content == "FROM nothing"
    assert not found.instructions[3].heredocs[0].expands
    assert found.instructions[5].line == 11


def test_what_cannot_be_built_is_told() -> None:
    assert parse("RUN <<EOF\nx\n").problems == ((1, "the heredoc EOF has no end"),)
    assert parse("FORM x\n").problems == ((1, "FORM is no instruction"),)
    assert parse("").problems == ((1, "there is no FROM"),)


def test_targets_of_other_files_are_found_with_their_lines() -> None:
    assert hcl.targets_of('group "a" {}\n\ntarget "api" {\n}\n', is_json=False) == {"api": 3}
    assert hcl.targets_of('{\n "target": {\n  "web": {}}}', is_json=True) == {"web": 3}
    with pytest.raises(ValueError, match="Expecting"):
        hcl.targets_of("{", is_json=True)


def test_json_and_hcl_say_no_value_of_a_secret() -> None:
    _, document = made(configuration("host"))
    assert json.loads(hcl.to_json(document))["target"]["api"]["secret"] == [
        {"id": "netrc", "type": "file", "src": "ci/netrc"}
    ]
