"""One plan from several projects: the order of needs, work that is done once, names that would clash, selections."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goctl.config.model import Config, Go, Project, Publish, Registry, Release, Target
from goctl.errors import ConfigError
from goctl.plan.facts import Facts, Git, Listing, ListingKey, Main, Toolchain
from goctl.plan.joined import join, order
from goctl.plan.make import listing_key, make
from goctl.plan.model import CompileStep, ImageStep, IndexStep, Plan, PushStep
from goctl.plan.select import parse, platforms_of, select
from goctl.values import Digest, Platform

TOOLCHAIN = Toolchain(command="go", source="PATH", version="go1.26.0", goroot="/go")


def config(name: str, targets: Mapping[str, Target], **more: object) -> Config:
    base = Config(
        project=Project(name=name),
        targets=dict(targets),
        registries={"local": Registry(url="oci-layout:dist/images")},
        release=Release(dist=f"dist/{name}"),
    )
    return msgspec.structs.replace(base, **more)


def target(*packages: str, repository: str = "", **more: object) -> Target:
    made = Target(packages=packages, platforms=("linux/amd64",))
    if repository:
        image = msgspec.structs.replace(made.image, repository=repository)
        made = msgspec.structs.replace(made, image=image)
    return msgspec.structs.replace(made, **more)


def plan(config: Config) -> Plan:
    listings: dict[ListingKey, Listing] = {}
    for each in config.targets.values():
        for platform in platforms_of(config, each):
            key = listing_key(config, each, platform)
            known = listings[key].mains if key in listings else {}
            mains = {
                one: (Main(f"example.com/m{one[1:]}", one.rsplit("/", 1)[-1], Digest.of(one.encode())),)
                for one in each.packages
            }
            listings[key] = Listing(mains={**known, **mains}, detail=Digest.of(b"detail"))
    facts = Facts(
        git=Git("s" * 40, "s" * 7, "main", "v1", 0, dirty=False),
        version="1",
        toolchain=TOOLCHAIN,
        listings=listings,
        compressors={"gzip": "deflate 1"},
    )
    return make(config, facts, {name: platforms_of(config, each) for name, each in config.targets.items()})


def joined(*configs: Config) -> Plan:
    return join("mono", [plan(one) for one in configs], {one.project.name: one for one in configs})


def compiles(plan: Plan) -> list[CompileStep]:
    return [step for step in plan.steps if isinstance(step, CompileStep)]


def test_what_two_projects_compile_alike_is_one_step() -> None:
    api = config("api", {"api": target("./cmd/api", "./cmd/tool")})
    web = config("web", {"web": target("./cmd/web", "./cmd/tool")})
    made = joined(api, web)
    tool = next(step for step in compiles(made) if step.import_path.endswith("/tool"))
    assert len(compiles(made)) == 3
    assert tool.targets == ("api:api", "web:web")
    assert tool.outputs == ("dist/api/api/linux-amd64/tool", "dist/web/web/linux-amd64/tool")
    images = [step for step in made.steps if isinstance(step, ImageStep)]
    assert [step.project for step in images] == ["api", "web"]
    assert all(tool.id in step.needs for step in images)
    assert all(tool.id in {program.step for program in step.programs} for step in images)


@pytest.mark.parametrize(
    "other",
    [
        {"go": Go(directory="web")},
        {"go": Go(env={"GOEXPERIMENT": "x"})},
        {"go": Go(toolchain=">=1.25")},
    ],
)
def test_other_ways_of_compiling_keep_projects_apart(other: dict[str, object]) -> None:
    api = config("api", {"api": target("./cmd/tool")})
    web = config("web", {"web": target("./cmd/tool")}, **other)
    made = joined(api, web)
    assert [step.targets for step in compiles(made)] == [("api:api",), ("web:web",)]
    ids = [step.id for step in made.steps]
    assert len(set(ids)) == len(ids)
    # Each image is made of its own project's program.
    for step in made.steps:
        if isinstance(step, ImageStep):
            (program,) = step.programs
            (need,) = step.needs
            assert made.by_id()[program.step] is made.by_id()[need]
            assert made.by_id()[need].project == step.project  # type: ignore[union-attr]


def test_flags_keep_programs_of_one_unit_apart() -> None:
    api = config("api", {"api": target("./cmd/tool")})
    web = config("web", {"web": target("./cmd/tool", ldflags=("-s",))})
    assert len(compiles(joined(api, web))) == 2
    assert len({step.unit for step in compiles(joined(api, web))}) == 1


def test_another_engines_programs_are_one_projects_alone() -> None:
    api = config("api", {"api": target("./cmd/tool", engine="prebuilt")})
    web = config("web", {"web": target("./cmd/tool", engine="prebuilt")})
    assert [step.targets for step in compiles(joined(api, web))] == [("api:api",), ("web:web",)]


def test_keys_are_those_of_each_project_alone() -> None:
    api = config("api", {"api": target("./cmd/api", "./cmd/tool"), "job": target("./cmd/job")})
    web = config("web", {"api": target("./cmd/web", "./cmd/tool", repository="web/api")})
    made = joined(api, web)
    together = {(step.import_path, step.key({})) for step in compiles(made)}
    alone = {(step.import_path, step.key({})) for one in (api, web) for step in compiles(joined(one))}
    assert together == alone
    ids = {step.id for step in made.steps}
    assert {step.id for one in (api, web) for step in joined(one).steps} == ids
    assert {"image:api:api@linux/amd64", "image:web:api@linux/amd64", "index:api:job", "push:web:api>local"} <= ids
    for step in made.steps:
        assert set(step.needs) <= ids


def test_two_targets_under_one_name_are_refused() -> None:
    api = config("api", {"x": target("./cmd/api", repository="shop")})
    web = config("web", {"y": target("./cmd/web", repository="shop")})
    with pytest.raises(ConfigError) as caught:
        joined(api, web)
    assert str(caught.value).startswith("api:x and web:y would both be shop:latest in local (give one of them")
    joined(api, msgspec.structs.replace(web, publish=Publish(tags=("other",))))
    # What counts is where a registry is, not what a project calls it.
    joined(api, msgspec.structs.replace(web, registries={"local": Registry(url="oci-layout:dist/others")}))
    same = {"images": Registry(url="oci-layout:dist/images/")}
    with pytest.raises(ConfigError, match="would both be shop:latest in images"):
        joined(api, msgspec.structs.replace(web, registries=same))


def test_names_are_those_of_projects() -> None:
    made = joined(config("api", {"x": target("./cmd/api")}), config("web", {"x": target("./cmd/web", repository="web/x")}))
    assert made.version is None
    assert {step.target for step in made.steps if isinstance(step, ImageStep | IndexStep | PushStep)} == {"api:x", "web:x"}
    assert all("api:x" in step.title or "web:x" in step.title for step in made.steps if not isinstance(step, CompileStep))


def needing(needs: Mapping[str, tuple[str, ...]]) -> dict[str, Config]:
    return {name: Config(project=Project(name=name, needs=each)) for name, each in needs.items()}


def test_waves_are_in_the_order_of_needs() -> None:
    configs = needing({"web": ("api", "auth"), "api": ("db",), "auth": (), "db": (), "docs": ("elsewhere",)})
    assert order(configs) == [["auth", "db", "docs"], ["api"], ["web"]]


def test_a_project_that_needs_itself_is_a_circle() -> None:
    with pytest.raises(ConfigError, match="a needs a"):
        order(needing({"a": ("a",)}))


def test_a_circle_is_told_whole_in_the_order_of_needs() -> None:
    with pytest.raises(ConfigError) as caught:
        order(needing({"web": ("api",), "api": ("db",), "db": ("web",), "docs": ("web",)}))
    circle = str(caught.value).split(": ")[1].split(" (")[0].split(" needs ")
    assert circle[0] == circle[-1]
    assert sorted(circle[1:]) == ["api", "db", "web"]
    follows = {"web": "api", "api": "db", "db": "web"}
    assert all(follows[one] == other for one, other in itertools.pairwise(circle))


@given(st.dictionaries(st.sampled_from("abcdefgh"), st.sets(st.sampled_from("abcdefgh"))))
def test_every_order_has_needs_before_those_that_need_them(graph: dict[str, set[str]]) -> None:
    try:
        waves = order(needing({name: tuple(sorted(needs)) for name, needs in graph.items()}))
    except ConfigError:
        return
    assert sorted(name for wave in waves for name in wave) == sorted(graph)
    done: set[str] = set()
    for wave in waves:
        assert all(need in done for name in wave for need in graph[name] if need in graph)
        done |= set(wave)


CONFIGS = {
    "api": config("api", {"server": target("./s"), "job": target("./j", platforms=("linux/arm/v7", "linux/amd64"))}),
    "web": config("web", {"server": target("./s"), "api": target("./a")}),
    "tools": config("tools", {"lint": target("./l")}),
}


def chosen(*selections: str) -> set[str]:
    found = select(CONFIGS, parse(selections))
    return {f"{p}:{t}@{one}" for p, targets in found.items() for t, platforms in targets.items() for one in platforms}


@pytest.mark.parametrize(
    ("selections", "found"),
    [
        (("api:",), {"api:server@linux/amd64", "api:job@linux/arm/v7", "api:job@linux/amd64"}),
        (("api:job@linux/arm*",), {"api:job@linux/arm/v7"}),
        (("api:job@linux/arm",), {"api:job@linux/arm/v7"}),
        (("server",), {"api:server@linux/amd64", "web:server@linux/amd64"}),
        (("*:server,tools:",), {"api:server@linux/amd64", "web:server@linux/amd64", "tools:lint@linux/amd64"}),
        (("w*:s*", "t*:*"), {"web:server@linux/amd64", "tools:lint@linux/amd64"}),
        (("@linux/arm/v7",), {"api:job@linux/arm/v7"}),
        (("api",), {"web:api@linux/amd64"}),
        (
            (),
            {f"{p}:{t}@{one}" for p, c in CONFIGS.items() for t, each in c.targets.items() for one in platforms_of(c, each)},
        ),
    ],
)
def test_selections(selections: tuple[str, ...], found: set[str]) -> None:
    assert chosen(*selections) == found


@pytest.mark.parametrize(
    ("selection", "words"),
    [
        ("apo:server", "no project is named so; expected one of api, web, tools (did you mean 'api'?)"),
        ("web:sever", "no target is named so; expected one of api, server (did you mean 'server'?)"),
        ("tools", "no target is named so ('tools' is a project: write tools:)"),
        ("api:job@linux/s390x", "no such platform; expected one of linux/amd64, linux/arm/v7"),
        (
            "api:lint",
            "no target is named so; expected one of job, server (tools has one: write tools:lint)",
        ),
        ("a:b:c", "'a:b:c' is not a selection; expected project:target@platform"),
    ],
)
def test_selections_that_choose_nothing_say_what_there_is(selection: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        chosen(selection)
    assert words in str(caught.value)
    # All of them at once.
    with pytest.raises(ConfigError) as caught:
        chosen("nothing:", selection) if selection.count(":") < 2 else chosen("a@b@c", selection)
    assert len(caught.value.problems) == 2


def test_a_project_alone_says_its_name() -> None:
    with pytest.raises(ConfigError, match="this project is 'api'"):
        select({"api": CONFIGS["api"]}, parse(["web:"]))
    assert Platform.parse("linux/amd64") in select({"api": CONFIGS["api"]}, parse(["api:"]))["api"]["server"]
