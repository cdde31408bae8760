"""Builders: what buildx tells of them, what goctl.toml declares, how the two differ, and whether a build can be done."""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from goctl.buildkit import builders, builders_made, docker
from goctl.buildkit.nodes import Builder, find, needed, parse
from goctl.buildkit.nodes_checks import Wanted, check, covers, lacks
from goctl.buildkit.nodes_declared import Declared, create_args, declared, differences
from goctl.buildkit.nodes_toml import daemon, parsed
from goctl.config.builders import check_builder
from goctl.config.convert import Problems
from goctl.config.model import BuildKit, BuildNode, Registry
from goctl.errors import BuilderError
from goctl.system.process import Completed
from goctl.values import Platform

RECORDED = Path(__file__).parent / "recorded"
LS = (RECORDED / "ls.jsonl").read_text(encoding="utf-8")
AMD, ARM64, ARM, S390 = (Platform.parse(one) for one in ("linux/amd64", "linux/arm64", "linux/arm/v7", "linux/s390x"))
CONTAINER, REMOTE, DEFAULT = parse(LS)


def want(settings: BuildKit, registries: dict[str, Registry] | None = None, root: Path = Path()) -> Declared:
    return declared(settings, daemon(settings, registries or {}, root))


LOCAL = {"local": Registry(url="localhost:5000/x", plain_http=True)}
AS_RECORDED = BuildKit(builder="remote", driver="remote", nodes=(BuildNode(endpoint="unix:///run/buildkit/buildkitd.sock"),))


def with_node(builder: Builder, **changes: object) -> Builder:
    (node,) = builder.machines
    return msgspec.structs.replace(builder, nodes=(msgspec.structs.replace(node, **changes),))


def test_what_buildx_lists_is_read() -> None:
    assert [(one.name, one.driver, one.current) for one in (CONTAINER, REMOTE, DEFAULT)] == [
        ("container", "docker-container", False),
        ("remote", "remote", False),
        ("default", "docker", True),
    ]
    (node,) = CONTAINER.machines
    assert node.is_running
    assert node.can >= {AMD, ARM64, ARM}
    assert node.native == {Platform.parse(one) for one in ("linux/amd64", "linux/amd64/v2", "linux/amd64/v3", "linux/386")}
    assert parsed(node.file("buildkitd.toml"))["registry"] == {"localhost:5000": {"http": True}}
    assert find(parse(LS), "") == DEFAULT
    with pytest.raises(BuilderError, match="no builder shop") as caught:
        needed(parse(LS), "shop")
    assert "builder.create" in caught.value.hint


@pytest.mark.parametrize("text", ["{", '{"Name": 1}', "[]", "null", "x\n{}"])
def test_what_is_no_list_of_builders_is_refused(text: str) -> None:
    with pytest.raises(BuilderError, match="not known here"):
        parse(text)


def test_a_builder_that_is_as_declared_differs_in_nothing() -> None:
    assert differences(want(AS_RECORDED), REMOTE) == ()
    settings = BuildKit(builder="container", options={"network": "host"})
    config = {"worker": {"oci": {"enabled": True, "snapshotter": "overlayfs"}, "containerd": {"enabled": False}}}
    made = want(settings, LOCAL)
    whole = msgspec.structs.replace(made.daemon, as_kept={**config, **made.daemon.as_kept})
    assert differences(msgspec.structs.replace(made, daemon=whole), CONTAINER) == ()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (BuildKit(builder="container", options={"network": "host"}), "configured for other registries or limits"),
        (BuildKit(builder="container"), "option network is host, and should be not set"),
        (BuildKit(builder="container", memory="1GiB"), "option memory is not set, and should be 1073741824"),
        (BuildKit(builder="container", driver="remote", nodes=(BuildNode(endpoint="tcp://a:1"),)), "its driver is"),
        (BuildKit(builder="container", nodes=(BuildNode(name="arm"),)), "it has no node arm"),
        (BuildKit(builder="container", nodes=(BuildNode(name="arm"),)), "its node container0 is not declared"),
        (BuildKit(builder="container", nodes=(BuildNode(endpoint="tcp://a:1"),)), "it is at unix:///var/run/docker.sock"),
        (BuildKit(builder="container", nodes=(BuildNode(platforms=("linux/arm64",)),)), "its platforms are linux/amd64"),
    ],
)
def test_every_difference_is_told(settings: BuildKit, words: str) -> None:
    assert words in "; ".join(differences(want(settings), CONTAINER))


def test_registries_and_limits_become_a_buildkitd_toml(tmp_path: Path) -> None:
    for name in ("ca.pem", "me.pem", "me.key"):
        (tmp_path / name).write_text(name)
    registries = {
        "corp": Registry(
            url="corp.example.com:5000/shop",
            ca="ca.pem",
            client_certificate="me.pem",
            client_key="me.key",
            mirrors=('mirror.example.com/a"b',),
        ),
        "again": Registry(url="corp.example.com:5000/other", plain_http=True),
        "layout": Registry(url="oci-layout:dist/images"),
        "plain": Registry(url="localhost:5000", plain_http=True),
    }
    made = daemon(BuildKit(parallelism=3, cache_size="1GiB"), registries, tmp_path)
    tree = tomllib.loads(made.content.decode())
    assert tree["worker"] == {"oci": {"max-parallelism": 3, "gc": True, "maxUsedSpace": 2**30}}
    assert set(tree["registry"]) == {"corp.example.com:5000", "localhost:5000"}
    corp = tree["registry"]["corp.example.com:5000"]
    assert corp["mirrors"] == ['mirror.example.com/a"b']
    assert corp["ca"] == [str(tmp_path / "ca.pem")]
    assert corp["keypair"] == [{"key": str(tmp_path / "me.key"), "cert": str(tmp_path / "me.pem")}]
    assert corp["http"] is False
    assert tree["registry"]["localhost:5000"] == {"http": True}
    assert made.files["certs/corp.example.com_5000/me.key"] == b"me.key"
    kept = made.as_kept["registry"]["corp.example.com:5000"]
    assert kept["ca"] == ["/etc/buildkit/certs/corp.example.com_5000/ca.pem"]
    assert daemon(BuildKit(), {}, tmp_path).content == b""


def test_a_persons_own_default_is_left_to_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUILDX_CONFIG", str(tmp_path))
    settings = BuildKit(builder="container", options={"network": "host"})
    assert "configured for other" in "; ".join(differences(want(settings), CONTAINER))
    (tmp_path / "buildkitd.default.toml").write_text("debug = true\n")
    assert differences(want(settings), CONTAINER) == ()
    assert "configured for other" in "; ".join(differences(want(settings, LOCAL), CONTAINER))


def test_a_certificate_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BuilderError, match=r"gone\.pem"):
        daemon(BuildKit(), {"corp": Registry(url="corp.example.com/x", ca="gone.pem")}, tmp_path)


def test_a_node_is_made_by_one_command() -> None:
    settings = BuildKit(
        builder="shop",
        memory="1GiB",
        cpus=2,
        options={"image": "moby/buildkit:x", 'odd"': "a,b"},
        nodes=(BuildNode(), BuildNode(name="arm", endpoint="tcp://arm:1", platforms=("linux/arm64", "linux/arm"))),
    )
    made = want(settings)
    first = create_args(made, made.nodes[0], append=False, config=Path("x.toml"))
    start = ["buildx", "create", "--name", "shop", "--driver", "docker-container"]
    assert first[:8] == [*start, "--node", "shop0"]
    options = [first[number + 1] for number, word in enumerate(first) if word == "--driver-opt"]
    assert [next(csv.reader([one]))[0] for one in options] == [
        "cpu-period=100000", "cpu-quota=200000", "image=moby/buildkit:x", "memory=1073741824", 'odd"=a,b',
    ]  # fmt: skip
    assert first[-2:] == ["--buildkitd-config", "x.toml"]
    second = create_args(made, made.nodes[1], append=True, config=None)
    assert "--append" in second
    assert second[second.index("--platform") + 1] == "linux/arm64,linux/arm/v7"
    assert second[-2:] == ["--", "tcp://arm:1"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (BuildKit(builder="--help"), "is no name"),
        (BuildKit(driver="remote"), "is missing"),
        (BuildKit(driver="remote", nodes=(BuildNode(endpoint="host"),)), "is no address"),
        (BuildKit(driver="docker", options={"a": "b"}), "no meaning for the driver docker"),
        (BuildKit(driver="docker", memory="1GiB"), "cannot be set for the driver docker"),
        (BuildKit(memory="much"), "not a size"),
        (BuildKit(memory="0"), "is nothing"),
        (BuildKit(options={"a=b": "c"}), "is no option"),
        (BuildKit(nodes=(BuildNode(name="a"), BuildNode(name="a"))), "given twice"),
        (BuildKit(nodes=(BuildNode(), BuildNode())), "cannot be in the same engine"),
        (BuildKit(nodes=(BuildNode(platforms=("linxu/arm64",)),)), "did you mean linux/arm64"),
        (BuildKit(nodes=(BuildNode(endpoint="tcp://me:secret@host:1"),)), "user name or password"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: BuildKit, words: str) -> None:
    problems = Problems()
    check_builder(settings, problems)
    text = "; ".join(message + expected for (_, message), (expected, _) in problems.found.items())
    assert words in text
    assert "secret" not in text


@pytest.mark.parametrize(
    ("can", "wanted", "expected"),
    [("linux/arm/v7", "linux/arm/v6", True), ("linux/arm/v6", "linux/arm/v7", False), ("linux/arm64", "linux/arm64", True),
     ("linux/amd64", "linux/amd64/v3", False), ("linux/amd64/v3", "linux/amd64/v2", True),
     ("linux/amd64", "windows/amd64", False), ("linux/arm/v7", "linux/arm/v7+softfloat", True)],
)  # fmt: skip
def test_what_a_machine_covers(can: str, wanted: str, expected: bool) -> None:
    assert covers(frozenset({Platform.parse(can)}), Platform.parse(wanted)) is expected


MANY = Wanted(platforms=(AMD, ARM64, ARM), by_digest=True, caches=("registry", "inline"), attestations=True)


@pytest.mark.parametrize("builder", [CONTAINER, REMOTE])
def test_a_whole_builder_lacks_nothing(builder: Builder) -> None:
    check(builder, [MANY, msgspec.structs.replace(MANY, outputs=("oci", "local"))])


def test_dockers_own_driver_lacks_all_at_once() -> None:
    with pytest.raises(BuilderError) as caught:
        check(DEFAULT, [MANY, msgspec.structs.replace(MANY, outputs=("oci",))])
    for words in ("several platforms", "by digest", "cache of type registry", "OCI layout", "provenance"):
        assert words in str(caught.value)
    assert "inline" not in str(caught.value)
    assert caught.value.hint.count("invoke builder.create") == 1
    check(DEFAULT, [MANY], containerd_store=True)
    check(DEFAULT, [Wanted(platforms=(AMD,), outputs=("docker",)), Wanted(platforms=(ARM,), outputs=("docker",))])


def test_a_platform_needs_an_emulator_only_where_something_is_run() -> None:
    wanted = Wanted(platforms=(AMD, S390))
    (lack,) = lacks(REMOTE, wanted)
    assert "cannot build for linux/s390x" in lack.message
    assert "--install s390x" in lack.mend
    assert lacks(REMOTE, msgspec.structs.replace(wanted, executed=(AMD,))) == ()


def test_emulation_can_be_forbidden() -> None:
    (lack,) = lacks(REMOTE, Wanted(platforms=(AMD, ARM64)), emulated=False)
    assert "would emulate linux/arm64" in lack.message


@pytest.mark.parametrize(
    ("builder", "words"),
    [
        (with_node(CONTAINER, status="inactive"), "is inactive"),
        (with_node(CONTAINER, err="no such host"), "no such host"),
        (msgspec.structs.replace(CONTAINER, nodes=None), "has no node"),
        (msgspec.structs.replace(CONTAINER, err="broken"), "does not answer: broken"),
    ],
)
def test_a_builder_that_is_not_up_is_named(builder: Builder, words: str) -> None:
    with pytest.raises(BuilderError, match=words):
        check(builder, [Wanted(platforms=(AMD,))])


def test_an_oci_layout_and_an_engine_have_limits() -> None:
    (first,) = CONTAINER.machines
    other = msgspec.structs.replace(first, name="arm", platforms=("linux/arm64",))
    amd = msgspec.structs.replace(first, platforms=("linux/amd64",))
    two = msgspec.structs.replace(CONTAINER, nodes=(amd, other))
    wanted = Wanted(platforms=(AMD, ARM64), outputs=("oci",))
    assert "several machines" in lacks(two, wanted)[0].message
    assert lacks(two, msgspec.structs.replace(wanted, platforms=(AMD,))) == ()
    assert "one platform" in lacks(CONTAINER, msgspec.structs.replace(wanted, outputs=("docker",)))[0].message


def test_usage_is_summed_by_kind() -> None:
    rows = builders.summed(docker.lines_of((RECORDED / "du.jsonl").read_text(encoding="utf-8"), builders.Entry))
    assert {row.kind for row in rows} == {"regular", "exec.cachemount", "source.local"}
    assert [row.size for row in rows] == sorted((row.size for row in rows), reverse=True)
    assert sum(row.entries for row in rows) == len((RECORDED / "du.jsonl").read_text(encoding="utf-8").splitlines())
    assert builders.Entry(size="8.192kB").bytes == 8192
    assert builders.Entry(size="odd").bytes == 0


@pytest.mark.parametrize(
    ("words", "seconds"),
    [("Less than a second ago", 1), ("12 seconds ago", 12), ("About a minute ago", 60), ("About an hour ago", 3600),
     ("2 hours ago", 7200), ("3 weeks ago", 21 * 86400), ("2 years ago", 730 * 86400), ("", 0), ("once", 0)],
)  # fmt: skip
def test_an_age_is_read_from_words(words: str, seconds: int) -> None:
    assert builders.Entry(last_used_at=words).age == seconds


def test_what_goctl_made_is_known_by_more_than_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUILDX_CONFIG", str(tmp_path / "buildx"))
    assert not builders_made.is_made_here(CONTAINER)
    builders_made.note(CONTAINER)
    assert builders_made.is_made_here(CONTAINER)
    assert not builders_made.is_made_here(with_node(CONTAINER, endpoint="tcp://other:1"))
    builders_made.note(REMOTE)
    builders_made.forget(CONTAINER)
    assert not builders_made.is_made_here(CONTAINER)
    assert builders_made.is_made_here(REMOTE)
    (tmp_path / "buildx" / builders_made.NAME).write_text("[")
    assert not builders_made.is_made_here(REMOTE)


def answering(monkeypatch: pytest.MonkeyPatch, code: int, stdout: str, stderr: str) -> list[Sequence[str]]:
    """Puts an answer in the place of the docker command; what it was asked."""
    asked: list[Sequence[str]] = []

    def run(args: Sequence[str], **more: object) -> Completed:
        asked.append(args)
        return Completed(tuple(args), code, stdout.encode(), stderr.encode())

    monkeypatch.setattr(docker, "run", run)
    return asked


@pytest.mark.parametrize(
    ("errors", "hint"),
    [
        ("docker: 'buildx' is not a docker command.", "install the buildx plugin"),
        ("ERROR: Cannot connect to the Docker daemon at unix:///x", "start Docker's engine"),
        ("ERROR: driver not running", "--bootstrap"),
        ("unknown flag: --format", "newer buildx"),
        ("ERROR: no such thing", ""),
    ],
)
def test_a_refusal_keeps_dockers_words(monkeypatch: pytest.MonkeyPatch, errors: str, hint: str) -> None:
    asked = answering(monkeypatch, 1, "", f"some lines\n{errors}\n")
    with pytest.raises(BuilderError) as caught:
        builders.builders()
    assert asked == [["docker", "buildx", "ls", "--format", "json"]]
    assert errors.removeprefix("ERROR: ") in str(caught.value)
    assert "some lines" not in str(caught.value)
    assert hint in caught.value.hint


def test_without_docker_it_is_said_what_needs_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BuilderError, match="not found") as caught:
        builders.builders()
    assert "embedded" in caught.value.hint
