"""Manifests as they are read, and what their references become."""

from __future__ import annotations

from pathlib import Path

import pytest

from goctl.cluster.defaults import Workload, fitted, manifests
from goctl.cluster.manifests import load
from goctl.cluster.pulling import Login, pod_spec, with_login
from goctl.cluster.references import Reference, references, resolved, unknown
from goctl.cluster.yamls import documents, dump
from goctl.errors import ConfigError
from goctl.values import Platform

DIGEST = f"localhost:5000/api@sha256:{'0' * 64}"
DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: api}
spec:
  template:
    spec:
      containers:
      - {name: api, image: "goctl://api"}
"""


def read(text: str) -> list[object]:
    return [content for content, _ in documents(text, "a.yaml")]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("8080:80", "8080:80"),
        ("2026-01-01", "2026-01-01"),
        ("12:30:45", "12:30:45"),
        ("0755", 493),
        ("1_000", 1000),
        ("0x1F", 31),
        ("1e3", "1e3"),
        ("1e+3", 1000.0),
        ("12", 12),
        ("1.5", 1.5),
        ("yes", True),
        ("null", None),
        ("=", "="),
        ('"12"', "12"),
        ("1.2.3", "1.2.3"),
    ],
)
def test_scalars_are_what_kubernetes_takes_them_for(text: str, value: object) -> None:
    assert read(f"a: {text}") == [{"a": value}]


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("a: [1,\nb: 2\n", 3, "no YAML"),
        ("a: 1\nb: 2\na: 3\n", 3, "'a' stands twice"),
        ("a: !!python/object/apply:os.system [ls]\n", 1, "could not determine a constructor"),
        ("a: 1\n\tb: 2\n", 2, "cannot start any token"),
        ("a: *b\n", 1, "undefined alias"),
    ],
)
def test_mistakes_have_a_line(text: str, line: int, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        read(text)
    (problem,) = raised.value.problems
    assert problem.location is not None
    assert (problem.location.file, problem.location.line) == ("a.yaml", line)
    assert said in problem.message


def test_a_file_of_some_lines_that_holds_billions_is_refused() -> None:
    bomb = "a0: &a0 [1,1,1,1,1,1,1,1,1]\n" + "".join(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
    with pytest.raises(ConfigError, match="more than"):
        read(bomb)
    with pytest.raises(ConfigError, match="deeply"):
        read("[" * 5000)


def test_anchors_and_merges_are_followed() -> None:
    assert read("a: &x {b: 1}\nc: {<<: *x, d: 2}\n") == [{"a": {"b": 1}, "c": {"b": 1, "d": 2}}]


def test_what_is_printed_reads_as_it_was() -> None:
    contents = [{"a": "12:30", "b": "yes", "c": "1\n2\n", "d": [1, None, {"e": "0755"}], "f": "2026-01-01", "g": "on"}]
    assert read(dump(contents)) == contents


def test_sources_are_files_folders_and_patterns(tmp_path: Path) -> None:
    for name in ("a/two.yml", "a/one.yaml", "a/b/three.yaml", "a/note.txt", "more/four.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(
            f'{{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {{"name": "{Path(name).stem}"}}}}'
        )
    assert [one.name for one in load(["a"], tmp_path)] == ["one", "two"]
    assert [one.name for one in load(["a/**/*.yaml", "more/four.json", "a/one.yaml"], tmp_path)] == ["three", "one", "four"]
    assert [one.name for one in load(["-"], tmp_path, stdin=["{apiVersion: v1, kind: A, ", "metadata: {name: b}}"])] == ["b"]
    with pytest.raises(ConfigError, match="names no manifests"):
        load(["b/*.yaml"], tmp_path)


def test_every_problem_of_every_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("kind: A\n---\napiVersion: v1\nkind: B\nmetadata: {generateName: x-}\n---\n- 1\n")
    (tmp_path / "b.yaml").write_text(
        "apiVersion: v1\nkind: C\nmetadata: {name: c}\n---\napiVersion: v1\nkind: C\nmetadata: {name: c}\n"
    )
    (tmp_path / "c.yaml").write_text("[")
    with pytest.raises(ConfigError) as raised:
        load(["*.yaml"], tmp_path)
    said = [str(problem) for problem in raised.value.problems]
    assert [one.partition(": ")[0] for one in said] == ["a.yaml:1", "a.yaml:3", "a.yaml:7", "c.yaml:1:2", "b.yaml:5"]
    assert "b.yaml:1 already" in said[-1]


def test_lists_are_their_items(tmp_path: Path) -> None:
    item = "{apiVersion: v1, kind: ConfigMap, metadata: {name: %s}}"
    (tmp_path / "a.yaml").write_text(f"kind: List\napiVersion: v1\nitems: [{item % 'a'}, {item % 'b'}]\n")
    assert [one.name for one in load(["a.yaml"], tmp_path)] == ["a", "b"]


def test_a_kustomization_needs_kustomize(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kustomization.yaml").write_text("resources: [a.yaml]\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="neither kustomize nor kubectl"):
        load(["."], tmp_path)


def make(tmp_path: Path, text: str) -> list[object]:
    (tmp_path / "a.yaml").write_text(text)
    return [one.content for one in resolved(load(["a.yaml"], tmp_path), answer)]


def answer(reference: Reference) -> str:
    if reference.name in ("api", "example.com/shop/cmd/api"):
        return DIGEST
    raise unknown(reference, ["api", "worker"])


def test_references_become_digests_wherever_they_stand(tmp_path: Path) -> None:
    text = (
        DEPLOYMENT
        + "      initContainers: [{name: i, image: ko://example.com/shop/cmd/api, args: [--image=goctl://api.]}]\n"
    )
    (content,) = make(tmp_path, text)
    spec = content["spec"]["template"]["spec"]  # type: ignore[index]
    assert spec["containers"][0]["image"] == DIGEST
    assert spec["initContainers"][0] == {"name": "i", "image": DIGEST, "args": [f"--image={DIGEST}."]}


def test_a_reference_to_nothing_is_told_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        make(tmp_path, DEPLOYMENT.replace("goctl://api", "goctl://wroker"))
    (problem,) = raised.value.problems
    assert str(problem).startswith("a.yaml:2: spec.template.spec.containers[0].image: goctl://wroker stands for nothing")
    assert "did you mean goctl://worker?" in str(problem)


def test_projects_of_a_workspace_can_be_named(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(DEPLOYMENT.replace("goctl://api", "goctl://auth:api"))
    (found,) = references(load(["a.yaml"], tmp_path))
    assert (found.name, found.path) == ("auth:api", "spec.template.spec.containers[0].image")


PLATFORMS = tuple(Platform.parse(name) for name in ("linux/amd64", "linux/arm64", "linux/arm/v7"))


def test_a_target_without_manifests_gets_careful_ones() -> None:
    workload = Workload(
        name="api.v2", project="shop", image=DIGEST, platforms=PLATFORMS, ports=("8080/tcp", "53/udp"), replicas=2
    )
    deployment, service = (one.content for one in manifests(workload))
    assert deployment["metadata"]["name"] == service["metadata"]["name"] == "api-v2"
    spec = deployment["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert container["image"] == DIGEST
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
    }  # fmt: skip
    terms = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert {one["key"]: one["values"] for one in terms[0]["matchExpressions"]} == {
        "kubernetes.io/os": ["linux"],
        "kubernetes.io/arch": ["amd64", "arm64", "arm"],
    }
    assert container["readinessProbe"]["tcpSocket"] == {"port": 8080}
    assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert service["spec"]["selector"] == deployment["spec"]["selector"]["matchLabels"]
    assert [one["port"] for one in service["spec"]["ports"]] == [8080, 53]
    assert container["lifecycle"] == {"preStop": {"sleep": {"seconds": 10}}}
    assert spec["terminationGracePeriodSeconds"] == 40


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("", {"runAsNonRoot": True}),
        ("nonroot", {"runAsNonRoot": True}),
        ("65532:65532", {"runAsNonRoot": True, "runAsUser": 65532}),
        ("0", {}),
    ],
)
def test_who_a_container_may_run_as(user: str, expected: dict[str, object]) -> None:
    workload = Workload(name="api", project="shop", image=DIGEST, platforms=PLATFORMS[:1], user=user)
    (deployment,) = (one.content for one in manifests(workload))
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert {name: value for name, value in container["securityContext"].items() if name.startswith("runAs")} == expected


def test_without_ports_there_is_no_service_and_root_is_what_it_says() -> None:
    workload = Workload(name="api", project="shop", image=DIGEST, platforms=PLATFORMS[:1], user="root")
    (deployment,) = (one.content for one in manifests(workload))
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert "runAsNonRoot" not in container["securityContext"]
    assert "readinessProbe" not in container
    assert "lifecycle" not in container  # nobody asks it anything
    assert deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == 30


def test_pods_serve_on_as_long_as_was_said_where_kubernetes_knows_how() -> None:
    workload = Workload(
        name="api", project="shop", image=DIGEST, platforms=PLATFORMS[:1], ports=("80/tcp",), drain=3, grace=5
    )
    made = manifests(workload)
    spec = made[0].content["spec"]["template"]["spec"]
    assert (spec["containers"][0]["lifecycle"]["preStop"]["sleep"], spec["terminationGracePeriodSeconds"]) == (
        {"seconds": 3},
        8,
    )
    assert fitted(made, (1, 30)) == fitted(made, (2, 0)) == made
    old = fitted(made, (1, 29))
    assert "lifecycle" not in old[0].content["spec"]["template"]["spec"]["containers"][0]
    assert old[0].content["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == 8
    assert old[1:] == made[1:]
    assert "lifecycle" in spec["containers"][0]  # what was made stays as it is
    assert fitted(old, (1, 29)) == old


@pytest.mark.parametrize("kind", ["Pod", "Deployment", "CronJob"])
def test_logins_are_named_where_pods_are_described(kind: str) -> None:
    pod = {"containers": [{"name": "a", "image": DIGEST}]}
    spec = {
        "Pod": pod,
        "Deployment": {"template": {"spec": pod}},
        "CronJob": {"jobTemplate": {"spec": {"template": {"spec": pod}}}},
    }
    from goctl.cluster.manifests import Manifest

    before = Manifest({"apiVersion": "v1", "kind": kind, "metadata": {"name": "a"}, "spec": spec[kind]}, "a.yaml")
    after = with_login(before, "login", [DIGEST])
    assert (pod_spec(after.content) or {})["imagePullSecrets"] == [{"name": "login"}]
    assert "imagePullSecrets" not in pod
    assert with_login(after, "login", [DIGEST]) == after


def test_dockers_own_registry_is_known_to_nodes_by_its_old_name() -> None:
    import base64
    import json

    secret = Login("docker.io", "me", "secret").secret("a", "b")
    told = json.loads(base64.b64decode(secret["data"][".dockerconfigjson"]))
    assert list(told["auths"]) == ["https://index.docker.io/v1/"]
