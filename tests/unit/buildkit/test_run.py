"""A build: its progress read as events, the document it bakes, who it is to registries, and what it does about failures."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from goctl.buildkit import run as running
from goctl.buildkit.nodes import Builder, parse
from goctl.buildkit.progress import Named, Progress, named
from goctl.buildkit.run import Job, bake
from goctl.buildkit.run_access import access, configuration
from goctl.buildkit.run_document import Daemon, Files, Layout, Nowhere, Output, Push, prepared, secrets, wanted
from goctl.errors import BuilderError, BuildError, ConfigError
from goctl.events import Event, Notice, StepFinished, StepProgress, StepStarted
from goctl.events import Output as Said
from goctl.system.process import Completed
from goctl.values import Digest, Platform

RECORDED = Path(__file__).parent / "recorded"
CONTAINER, REMOTE, DEFAULT = parse((RECORDED / "ls.jsonl").read_text(encoding="utf-8"))
AMD, ARM64, ARM = (Platform.parse(one) for one in ("linux/amd64", "linux/arm64", "linux/arm/v7"))
ONE, TWO = Digest("sha256:" + "1" * 64), Digest("sha256:" + "2" * 64)


def recorded(name: str) -> list[str]:
    return (RECORDED / name).read_text(encoding="utf-8").splitlines()


def read(name: str, *targets: str, secrets: Sequence[str] = ()) -> tuple[list[Event], Progress]:
    events: list[Event] = []
    progress = Progress({target: target for target in targets}, events.append, secrets=secrets)
    for line in recorded(name):
        progress.line(line)
    progress.close()
    return events, progress


def of(events: Sequence[Event], kind: type[Event]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("[api linux/amd64->arm64 build 2/3] RUN go build", Named("build: RUN go build", "api", "linux/arm64")),
        ("[api linux/arm/v7 1/1] COPY a /b", Named("COPY a /b", "api", "linux/arm/v7")),
        ("[api internal] load build context", Named("load build context", "api", "", True)),
        ("[internal] load local bake definitions", Named("load local bake definitions", "", "", True)),
        ("[api linux/amd64->windows/arm64 1/1] RUN [x]", Named("RUN [x]", "api", "windows/arm64")),
        ("exporting to image", Named("exporting to image")),
        ("[web] exporting to image", Named("exporting to image", "web")),
        ("[stage-1 1/2] RUN x", Named("stage-1: RUN x")),
        ("[", Named("[")),
        ("", Named("")),
    ],
)
def test_a_steps_name_is_taken_apart(name: str, expected: Named) -> None:
    assert named(name, ("api", "web")) == expected


def test_where_one_is_built_its_name_is_known() -> None:
    assert named("[linux/amd64 1/1] COPY a /b", ("api",)).target == "api"


def test_a_build_of_three_platforms_is_told_step_by_step() -> None:
    events, progress = read("cross.rawjson", "cross")
    finished = of(events, StepFinished)
    assert [(one.outcome, one.platform) for one in finished if one.title.startswith("build: RUN")] == [
        ("done", "linux/amd64"), ("done", "linux/arm64"), ("done", "linux/arm/v7"),
    ]  # fmt: skip
    assert all(0.3 < one.seconds < 2 for one in finished if one.title.startswith("build: RUN"))
    (base,) = (one for one in finished if "FROM" in one.title)
    assert base.outcome == "cached"
    assert {one.step for one in of(events, StepStarted)} == {one.step for one in finished}
    assert len(finished) == len({one.step for one in finished})
    warnings = of(events, Notice)
    assert warnings[0].message.startswith("Dockerfile.cross:6: StageNameCasing")
    assert "stage-name-casing" in warnings[0].hint
    assert not of(events, Said)  # what went well has nothing to say
    assert (progress.failed, progress.said) == ({}, [])


def test_a_failing_step_says_what_it_printed_and_whose_it_is() -> None:
    events, progress = read("failed.rawjson", "one", "fail")
    assert [event.line for event in of(events, Said)] == ["failing now"]
    (failed,) = (event for event in of(events, StepFinished) if event.outcome == "failed")
    assert failed.target == "fail"
    assert "exit code: 3" in failed.detail
    assert list(progress.failed) == ["fail"]
    assert progress.said[-1].startswith("ERROR: target fail: failed to solve")
    amounts = of(events, StepProgress)
    assert amounts[0].total == 32007484
    # A base is looked up, then fetched: one step, which ends when it is there.
    base = [event for event in events if "FROM" in getattr(event, "title", "")]
    assert [type(event) for event in base] == [StepStarted, StepFinished]
    assert base[1].seconds > 1


def test_two_targets_and_their_images() -> None:
    events, _ = read("bake.rawjson", "one", "two")
    finished = of(events, StepFinished)
    assert {(one.title, one.target) for one in finished} >= {("exporting to image", "one"), ("exporting to image", "two")}
    assert len(finished) == len({one.step for one in finished})


def test_no_line_is_too_odd(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[Event] = []
    progress = Progress({"a": "a"}, events.append)
    for line in ("", "{", '{"vertexes": 3}', "{" * 100_000, '{"logs":[{"vertex":"x","data":"eA=="}]}', '{"statuses":[{}]}',
                 '{"vertexes":[{}]}', '{"warnings":[{"short":"!"}]}', '{"new":1}'):  # fmt: skip
        progress.line(line)
    progress.close()
    assert not of(events, StepFinished)


def test_a_secret_that_a_step_prints_is_hidden() -> None:
    events, progress = read("failed.rawjson", "one", "fail", secrets=("failing now", "now"))
    assert [event.line for event in of(events, Said)] == ["***"]
    assert "failing now" not in " ".join(progress.said) + str(progress.failed)


def test_what_was_canceled_for_anothers_sake_has_not_failed() -> None:
    events: list[Event] = []
    progress = Progress({"a": "a"}, events.append)
    vertex = {"digest": "d", "name": "[a linux/amd64 1/1] RUN x", "started": "2026-01-01T00:00:00Z"}
    progress.line(json.dumps({"vertexes": [vertex]}))
    progress.line(json.dumps({"vertexes": [{**vertex, "completed": "2026-01-01T00:00:01Z", "error": "context canceled"}]}))
    assert [event.outcome for event in of(events, StepFinished)] == ["skipped"]
    assert progress.failed == {}


DOCUMENT: dict[str, Any] = {
    "group": {"default": {"targets": ["api", "web"]}},
    "target": {
        "api": {"context": ".", "platforms": ["linux/amd64", "linux/arm64"], "tags": ["r/api:1"], "cache-to": ["type=gha"]},
        "web": {"context": "web", "platforms": ["linux/arm/v7"], "attest": [{"type": "sbom"}], "cache-to": [{"type": "s3"}]},
        "plain": {"attest": ["type=provenance,disabled=true"]},
    },
}


def outputs_of(**outputs: Output) -> Mapping[str, Output]:
    return outputs


def test_what_a_document_asks_of_a_builder() -> None:
    found = wanted(DOCUMENT, "api", Push(("h/api",)), None)
    assert (found.platforms, found.outputs, found.caches) == ((AMD, ARM64), ("registry",), ("gha",))
    assert found.by_digest
    assert not found.attestations
    web = wanted(DOCUMENT, "web", Layout(Path("x")), (AMD, ARM))
    assert (web.caches, web.attestations, web.by_digest, web.executed) == (("s3",), True, False, (ARM,))
    plain = wanted(DOCUMENT, "plain", Nowhere(), ())
    assert (plain.platforms, plain.attestations, plain.executed) == ((), False, ())


def test_a_run_gives_outputs_and_takes_tags() -> None:
    outputs = outputs_of(api=Push(("h:5000/a", "h/b")), web=Files(Path("out,x")), plain=Daemon("a:${b}"))
    made = prepared(DOCUMENT, outputs, CONTAINER)
    targets = made.document["target"]
    assert targets["api"]["tags"] == []
    push = '"name=h:5000/a,h/b"'
    assert targets["api"]["output"] == [f"type=image,{push},push=true,push-by-digest=true,name-canonical=true"]
    assert targets["web"]["output"] == ['type=local,"dest=out,x"']
    assert targets["plain"]["output"] == ["type=docker,name=a:${b}"]
    assert "group" not in made.document
    assert made.folders == (Path("out,x"),)
    assert [piece.name for piece in made.pieces] == ["api", "web", "plain"]
    assert DOCUMENT["target"]["api"]["tags"] == ["r/api:1"]
    with pytest.raises(ConfigError, match="no target gone"):
        prepared(DOCUMENT, outputs_of(gone=Nowhere()), CONTAINER)


def two_machines() -> Builder:
    (first,) = CONTAINER.machines
    nodes = (
        msgspec.structs.replace(first, name="a", platforms=("linux/amd64",)),
        msgspec.structs.replace(first, name="b", platforms=("linux/arm64", "linux/arm/v7")),
    )
    return msgspec.structs.replace(CONTAINER, nodes=nodes)


def test_a_push_from_several_machines_is_taken_apart() -> None:
    document = {"target": {**DOCUMENT["target"], "api-linux-arm64": {}}}
    made = prepared(document, outputs_of(api=Push(("h/api",)), web=Push(("h/web",))), two_machines())
    assert [(piece.name, piece.platforms) for piece in made.pieces] == [
        ("api-linux-amd64", (AMD,)), ("api-linux-arm64-", (ARM64,)), ("web", (ARM,)),
    ]  # fmt: skip
    assert made.document["target"]["api-linux-arm64-"]["platforms"] == ["linux/arm64"]
    assert made.document["target"]["api-linux-arm64"] == {}


@pytest.mark.parametrize("kind", [Layout, Files])
def test_folders_of_several_machines_are_one_for_each_platform(kind: type[Layout | Files]) -> None:
    made = prepared(DOCUMENT, outputs_of(api=kind(Path("out"))), two_machines())
    assert made.folders == (Path("out/linux_amd64"), Path("out/linux_arm64"))
    assert f"dest={Path('out/linux_arm64')}" in made.document["target"]["api-linux-arm64"]["output"][0]


def test_several_machines_write_no_cache_over_each_others() -> None:
    cache, fixed = {"type": "registry", "ref": "h/c:api"}, "h/c:plain"
    table = {**DOCUMENT["target"]["api"], "cache-to": [cache, {"type": "inline"}], "cache-from": [cache, fixed]}
    made = prepared({"target": {"api": table}}, outputs_of(api=Push(("h/api",))), two_machines())
    for name, target in made.document["target"].items():
        own = {"type": "registry", "ref": f"h/c:{name}"}
        if name != "api":
            assert target["cache-to"] == [own, {"type": "inline"}]
            assert target["cache-from"] == [own, fixed, cache], "and what one machine wrote for all"
    alone = prepared({"target": {"api": table}}, outputs_of(api=Push(("h/api",))), CONTAINER)
    assert alone.document["target"]["api"]["cache-to"] == table["cache-to"]


def test_secrets_are_found_in_both_spellings() -> None:
    document = {"target": {"api": {"secret": ["id=a,env=A", {"id": "b", "src": "f"}, "type=file,id=c,source=g", "id=D"]}}}
    assert list(secrets(document, ["api"])) == [("a", "env", "A"), ("b", "file", "f"), ("c", "file", "g"), ("D", "env", "D")]


def test_without_logins_the_persons_own_configuration_is_used() -> None:
    with access({}, {"A": "b"}) as environment:
        assert environment == {"A": "b"}


def test_logins_go_into_a_folder_of_their_own(tmp_path: Path) -> None:
    own = tmp_path / "own"
    (own / "contexts" / "meta" / "x").mkdir(parents=True)
    (own / "contexts" / "meta" / "x" / "meta.json").write_text("{}")
    content = {"credsStore": "desktop", "auths": {"other": {}}, "currentContext": "far", "credHelpers": {"gcr.io": "gcloud"}}
    (own / "config.json").write_text(json.dumps(content))
    logins = {"h:5000": {"auth": "eDp5"}, "docker.io": {"identitytoken": "t"}}
    with access(logins, {"DOCKER_CONFIG": str(own), "PATH": "p"}) as environment:
        folder = Path(environment["DOCKER_CONFIG"])
        found = json.loads((folder / "config.json").read_text())
        assert (folder / "contexts/meta/x/meta.json").exists()
        if os.name != "nt":
            assert stat.S_IMODE((folder / "config.json").stat().st_mode) == 0o600
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert not folder.exists()
    assert environment["BUILDX_CONFIG"] == str(own / "buildx")
    assert environment["PATH"] == "p"
    hub = "https://index.docker.io/v1/"
    assert found["auths"] == {"other": {}, "h:5000": {"auth": "eDp5"}, hub: {"identitytoken": "t"}}
    assert found["credHelpers"] == {"gcr.io": "gcloud", "h:5000": "", hub: ""}
    assert found["credsStore"] == "desktop"
    assert found["currentContext"] == "far"
    assert found["cliPluginsExtraDirs"] == [str(own / "cli-plugins")]
    assert json.loads((own / "config.json").read_text()) == content


def test_a_damaged_configuration_is_not_repeated(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{hunter2")
    with pytest.raises(BuilderError) as caught, access({"h": {}}, {"DOCKER_CONFIG": str(tmp_path)}):
        pass
    assert "hunter2" not in str(caught.value)
    assert configuration({}, tmp_path, {})["auths"] == {}


Answer = Callable[[Sequence[str], list[str], dict[str, Any]], tuple[int, str, dict[str, Any] | None]]


class Bakes:
    """What stands in the place of the docker command: answers one bake after the other."""

    def __init__(self, *answers: tuple[int, str, dict[str, Any] | None]) -> None:
        self.answers = list(answers)
        self.baked: list[list[str]] = []
        self.args: list[Sequence[str]] = []
        self.environments: list[Mapping[str, str]] = []
        self.files: list[str] = []

    def __call__(self, args: Sequence[str], *, on_stderr: Callable[[str], None], **more: Any) -> Completed:
        names = [word for word in args[args.index("--file") + 2 :] if not word.startswith("-") and "=" not in word]
        self.baked.append(names)
        self.args.append(args)
        self.environments.append(more["env"])
        self.files.append(Path(args[args.index("--metadata-file") + 1]).with_name("docker-bake.json").read_text())
        code, said, metadata = self.answers.pop(0)
        for line in said.splitlines():
            on_stderr(line)
        if metadata is not None:
            Path(args[args.index("--metadata-file") + 1]).write_text(json.dumps(metadata))
        return Completed(tuple(args), code, b"", said.encode())


def digest_of(digest: Digest) -> dict[str, str]:
    return {"containerimage.digest": digest}


def failing(target: str, words: str) -> tuple[int, str, None]:
    return 1, f"Dockerfile:3\nERROR: target {target}: failed to solve: {words}", None


EXIT = 'process "/bin/sh -c x" did not complete successfully: exit code: 3'
PASSING = "failed to do request: read: connection reset by peer"
BOTH = outputs_of(api=Push(("h/api",)), web=Push(("h/web",)))


@pytest.fixture
def bakes(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Bakes]:
    def use(*answers: tuple[int, str, dict[str, Any] | None]) -> Bakes:
        made = Bakes(*answers)
        monkeypatch.setattr(running, "docker", made)
        return made

    return use


def job(root: Path, **changes: Any) -> Job:
    known: dict[str, Any] = {
        "document": DOCUMENT, "outputs": BOTH, "root": root, "scratch": root / "s", "builder": CONTAINER, **changes,
    }  # fmt: skip
    return Job(**known)


def test_values_are_no_templates(tmp_path: Path, bakes: Callable[..., Bakes]) -> None:
    made, folder = bakes((0, "", {"api": {}})), tmp_path / "a${b}"
    document = {"target": {"api": {"args": {"WORD": "${BAKE_CMD_CONTEXT} %{if true}x%{endif}"}}}}
    bake(job(tmp_path, document=document, outputs=outputs_of(api=Files(folder))), lambda event: None)
    table = json.loads(made.files[0])["target"]["api"]
    assert table["args"] == {"WORD": "$${BAKE_CMD_CONTEXT} %%{if true}x%%{endif}"}
    assert table["output"] == [f"type=local,dest={tmp_path / 'a$${b}'}"]


def test_git_is_asked_for_provenance_alone(
    tmp_path: Path, bakes: Callable[..., Bakes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BUILDX_GIT_INFO", raising=False)
    made = bakes(*[(0, "", {"api": {}, "web": {}, "plain": {}})] * 3)
    bake(job(tmp_path, outputs=outputs_of(plain=Nowhere())), lambda event: None)
    bake(job(tmp_path, outputs=outputs_of(web=Nowhere())), lambda event: None)
    monkeypatch.setenv("BUILDX_GIT_INFO", "true")
    bake(job(tmp_path, outputs=outputs_of(plain=Nowhere())), lambda event: None)
    assert [environment.get("BUILDX_GIT_INFO") for environment in made.environments] == ["false", None, "true"]


def test_all_targets_are_baked_at_once(tmp_path: Path, bakes: Callable[..., Bakes]) -> None:
    made = bakes((0, "", {"api": digest_of(ONE), "web": digest_of(TWO), "buildx.build.warnings": []}))
    results = bake(job(tmp_path, files=(Path("mine.hcl"),), readable=(tmp_path / "r",)), lambda event: None)
    assert {name: one.digests for name, one in results.baked.items()} == {
        "api": ((ONE, (AMD, ARM64)),), "web": ((TWO, (ARM,)),),
    }  # fmt: skip
    assert results.failed == {}
    (args,) = made.args
    assert args[args.index("--builder") + 1] == "container"
    assert args[args.index("--file") + 1] == "mine.hcl"
    assert f"fs.read={tmp_path / 'r'}" in args
    assert list((tmp_path / "s").iterdir()) == []


def test_what_failed_for_a_while_is_tried_again(tmp_path: Path, bakes: Callable[..., Bakes]) -> None:
    whole = {"api": digest_of(ONE), "web": digest_of(TWO)}
    made = bakes(failing("web", PASSING), (0, "", whole))
    events: list[Event] = []
    assert set(bake(job(tmp_path), events.append).baked) == {"api", "web"}
    assert made.baked == [["api", "web"], ["api", "web"]]
    assert [event.hint for event in of(events, Notice)] == ["it is tried again"]
    bakes(*[failing("web", PASSING)] * 3)
    with pytest.raises(BuilderError, match="connection reset"):
        bake(job(tmp_path, retries=2), lambda event: None)


def test_a_step_that_fails_is_not_tried_again(tmp_path: Path, bakes: Callable[..., Bakes]) -> None:
    made = bakes(failing("api", EXIT))
    with pytest.raises(BuildError, match="exit code: 3") as caught:
        bake(job(tmp_path), lambda event: None)
    assert "Dockerfile:3" in str(caught.value)
    assert made.baked == [["api", "web"]]


def test_one_that_fails_keeps_no_other_from_being_built(tmp_path: Path, bakes: Callable[..., Bakes]) -> None:
    made = bakes(failing("api", EXIT), (0, "", {"web": digest_of(TWO)}))
    results = bake(job(tmp_path, keep_going=True), lambda event: None)
    assert made.baked == [["api", "web"], ["web"]]
    assert set(results.baked) == {"web"}
    assert isinstance(results.failed["api"], BuildError)


def test_what_was_killed_for_anothers_sake_is_baked_again(tmp_path: Path, bakes: Callable[..., Bakes]) -> None:
    """A step that is canceled amid its work may say that its process was killed, and not that it was canceled."""

    def ended(target: str, code: int) -> str:
        error = f'process "/bin/sh -c x" did not complete successfully: exit code: {code}'
        times = {"started": "2026-01-01T00:00:00Z", "completed": "2026-01-01T00:00:01Z"}
        vertex = {"digest": f"sha256:{code:064}", "name": f"[{target} 2/2] RUN x", "error": error, **times}
        return json.dumps({"vertexes": [vertex]})

    code, blamed, _ = failing("api", EXIT)
    # buildx names the one that ended it all, whichever it tells of first.
    for told in ((ended("api", 3), ended("web", 137)), (ended("web", 137), ended("api", 3))):
        made = bakes((code, "\n".join((*told, blamed)), None), (0, "", {"web": digest_of(TWO)}))
        results = bake(job(tmp_path, keep_going=True), lambda event: None)
        assert made.baked == [["api", "web"], ["web"]]
        assert set(results.baked) == {"web"}
        assert list(results.failed) == ["api"]


def test_where_nobody_is_to_blame_all_have_failed(tmp_path: Path, bakes: Callable[..., Bakes]) -> None:
    bakes((1, "ERROR: something else", None))
    results = bake(job(tmp_path, keep_going=True), lambda event: None)
    assert results.baked == {}
    assert {str(error) for error in results.failed.values()} == {"docker buildx bake: something else"}
    bakes((7, "", None))
    with pytest.raises(BuilderError, match="ended with 7"):
        bake(job(tmp_path), lambda event: None)


def test_the_pieces_of_several_machines_are_one_target(tmp_path: Path, bakes: Callable[..., Bakes]) -> None:
    outputs = outputs_of(api=Push(("h/api",)))
    bakes((0, "", {"api-linux-amd64": digest_of(ONE), "api-linux-arm64": digest_of(TWO)}))
    results = bake(job(tmp_path, outputs=outputs, builder=two_machines()), lambda event: None)
    assert results.baked["api"].digests == ((ONE, (AMD,)), (TWO, (ARM64,)))
    # When one piece fails for good, nothing of its target is left to bake.
    made = bakes(failing("api-linux-arm64", EXIT))
    results = bake(job(tmp_path, outputs=outputs, builder=two_machines(), keep_going=True), lambda event: None)
    assert list(results.failed) == ["api"]
    assert made.baked == [["api-linux-amd64", "api-linux-arm64"]]


@pytest.mark.parametrize("metadata", [None, [], {"api": {"containerimage.digest": "x"}}])
def test_metadata_that_tells_no_digests_is_refused(tmp_path: Path, bakes: Callable[..., Bakes], metadata: Any) -> None:
    bakes((0, "", metadata))
    with pytest.raises(BuilderError, match="told of no digests"):
        bake(job(tmp_path), lambda event: None)


def test_what_the_builder_cannot_do_is_said_before_anything_runs(tmp_path: Path, bakes: Callable[..., Bakes]) -> None:
    made = bakes()
    with pytest.raises(BuilderError, match="push by digest"):
        bake(job(tmp_path, builder=DEFAULT), lambda event: None)
    assert made.baked == []


def test_secrets_are_seen_to_and_hidden(
    tmp_path: Path, bakes: Callable[..., Bakes], monkeypatch: pytest.MonkeyPatch
) -> None:
    document = {"target": {"api": {"secret": ["id=a,env=GOCTL_TEST_SECRET", {"id": "b", "src": "netrc"}]}}}
    outputs = outputs_of(api=Nowhere())
    monkeypatch.delenv("GOCTL_TEST_SECRET", raising=False)
    bakes()
    with pytest.raises(ConfigError, match="no GOCTL_TEST_SECRET"):
        bake(job(tmp_path, document=document, outputs=outputs), lambda event: None)
    monkeypatch.setenv("GOCTL_TEST_SECRET", "hunter2")
    with pytest.raises(ConfigError, match="netrc cannot be read"):
        bake(job(tmp_path, document=document, outputs=outputs), lambda event: None)
    (tmp_path / "netrc").write_text("password swordfish\n")
    made = bakes((1, "ERROR: it printed hunter2 and password swordfish", None))
    with pytest.raises(BuilderError) as caught:
        bake(job(tmp_path, document=document, outputs=outputs), lambda event: None)
    assert "hunter2" not in str(caught.value)
    assert "swordfish" not in str(caught.value)
    assert "hunter2" not in " ".join(made.args[0])


def test_the_recorded_metadata_is_read(tmp_path: Path, bakes: Callable[..., Bakes]) -> None:
    told = json.loads((RECORDED / "metadata.json").read_text(encoding="utf-8"))
    document = {"target": {name: {} for name in ("one", "lay", "loc")}}
    outputs = outputs_of(one=Push(("h/one",)), lay=Layout(tmp_path / "lay"), loc=Files(tmp_path / "loc"))
    made = bakes((0, "", told))
    found = bake(job(tmp_path, document=document, outputs=outputs), lambda event: None).baked
    assert found["one"].digests[0][0] == told["one"]["containerimage.digest"]
    assert found["loc"].digests == ()
    assert f"fs.write={tmp_path / 'lay'}" in made.args[0]
    assert (tmp_path / "lay").is_dir()
