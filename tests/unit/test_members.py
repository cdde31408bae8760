"""Workspaces as files: who is a member, what a member has from above, where its paths lead, and every problem once."""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from goctl.config import members
from goctl.config.loader import Loaded, load
from goctl.config.model import Image
from goctl.config.show import settings
from goctl.errors import ConfigError
from goctl.release.crew import Crew, assemble

TARGET = '[targets.x]\npackages = ["./cmd/x"]\n'


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "mono"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def write(root: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    return root


def crew(root: Path, file: str = "goctl.toml", profile: str = "") -> Crew:
    return assemble(root / file, profile=profile, emit=lambda event: None, look_only=True)


def problems(root: Path, file: str = "goctl.toml", profile: str = "") -> list[str]:
    with pytest.raises(ConfigError) as caught:
        crew(root, file, profile)
    return [str(problem) for problem in caught.value.problems]


def names(root: Path, top: str) -> list[str]:
    """The folders of a workspace's members."""
    write(root, {"goctl.toml": top})
    tree = members.peek(root / "goctl.toml")
    return [file.parent.relative_to(root).as_posix() for file in members.member_files(root, tree)]


TREE = {
    f"{folder}/goctl.toml": ""
    for folder in ("a", "services/b", "services/c", "services/c/deep", ".hidden/d", "services/.tool/e")
    + ("node_modules/m", "services/c/vendor/v", "odd[1]/f")
} | {"services/none/main.go": "package main\n"}


@pytest.mark.parametrize(
    ("patterns", "found"),
    [
        ('members = ["*"]', ["a"]),
        ('members = ["services/*"]', ["services/b", "services/c"]),
        ('members = ["./services/*/", "a"]', ["a", "services/b", "services/c"]),
        ('members = ["services\\\\*"]', ["services/b", "services/c"]),
        ('members = ["**"]', ["a", "odd[1]/f", "services/b", "services/c", "services/c/deep"]),
        ('members = ["services/**", "services/b"]', ["services/b", "services/c", "services/c/deep"]),
        ('members = ["**/deep"]', ["services/c/deep"]),
        ('members = ["services/[bc]"]', ["services/b", "services/c"]),
        ('members = ["services/?"]\nexclude = ["*/c"]', ["services/b"]),
        ('members = ["**"]\nexclude = ["services/**", "odd*/*"]', ["a"]),
        ('members = ["*/d", "services/*/e"]', []),
        ('members = [".hidden/d", "services/.tool/e"]', [".hidden/d", "services/.tool/e"]),
        ('members = ["node_modules/m"]', ["node_modules/m"]),
        ('members = ["Services/*"]' if os.name == "posix" and os.uname().sysname == "Linux" else "members = []", []),
        ('members = ["none"]\nexclude = 3', []),
        ("members = 3", []),
    ],
)
def test_patterns_of_members(root: Path, patterns: str, found: list[str]) -> None:
    write(root, TREE)
    assert names(root, f"[workspace]\n{patterns}\n") == found


@pytest.mark.parametrize(
    "pattern", ["", ".", "./", "/", "/abs", "..", "../other", "a/../b", "C:/x", "**x", "a/x**", "\\\\x"]
)
def test_patterns_that_leave_the_folder_are_refused(root: Path, pattern: str) -> None:
    write(root, {"goctl.toml": f"[workspace]\nmembers = ['{pattern}']\n", "a/goctl.toml": ""})
    (told,) = problems(root)
    assert told.startswith("goctl.toml:2: workspace.members: ")
    assert "is no pattern of folders below this one" in told


def test_a_pattern_that_names_nobody_is_told(root: Path) -> None:
    write(root, {"goctl.toml": '[workspace]\nmembers = ["a", "srvices/*"]\nexclude = ["nobody"]\n', "a/goctl.toml": TARGET})
    assert problems(root) == [
        "goctl.toml:2: workspace.members: no folder that 'srvices/*' names has a goctl.toml (write one, or mend the pattern)"
    ]


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_links_to_members_are_no_members_and_other_links_are(root: Path) -> None:
    write(root, {"services/v2/goctl.toml": TARGET, "elsewhere/w/goctl.toml": TARGET})
    (root / "services/current").symlink_to("v2")
    (root / "services/w").symlink_to("../elsewhere/w")
    (root / "services/w-again").symlink_to("../elsewhere/w")
    (root / "services/loop").symlink_to(".")
    assert names(root, '[workspace]\nmembers = ["services/*"]\n') == ["services/v2", "services/w"]
    assert names(root, '[workspace]\nmembers = ["services/**"]\n') == ["services/v2"]
    # The same through a link to the workspace itself.
    (root.parent / "link").symlink_to(root)
    assert names(root.parent / "link", '[workspace]\nmembers = ["services/*"]\n') == ["services/v2", "services/w"]


def test_members_within_members(root: Path) -> None:
    write(root, {"goctl.toml": '[workspace]\nmembers = ["**"]\n', "a/goctl.toml": TARGET, "a/b/goctl.toml": TARGET})
    made = crew(root)
    assert [session.config.release.dist for session in made.sessions.values()] == ["dist/a", "dist/b"]
    assert load(root / "a/b/goctl.toml").is_member


def test_a_member_is_no_workspace(root: Path) -> None:
    write(root, {"goctl.toml": '[workspace]\nmembers = ["a"]\n', "a/goctl.toml": TARGET + '[workspace]\nmembers = ["b"]\n'})
    write(root, {"a/b/goctl.toml": TARGET})
    (told,) = problems(root)
    assert told.startswith(f"{os.path.join('a', 'goctl.toml')}:3: workspace: a member of a workspace cannot be one")


@pytest.mark.parametrize(
    ("git", "is_member"),
    [
        ({".git/HEAD": ""}, True),
        ({"services/.git/HEAD": ""}, False),
        ({"services/a/.git/HEAD": ""}, False),
        ({"services/a/.git": "gitdir: ../../.git/modules/a\n", ".git/HEAD": ""}, True),
        ({"services/a/.git": "gitdir: /elsewhere/.git/worktrees/a\n"}, False),
        ({"services/.git": "gitdir: C:\\elsewhere\\.git\\worktrees\\a\n"}, False),
    ],
)
def test_the_search_upwards_ends_where_the_checkout_does(root: Path, git: dict[str, str], is_member: bool) -> None:
    write(root, {"goctl.toml": '[workspace]\nmembers = ["services/*"]\n', "services/a/goctl.toml": TARGET, **git})
    loaded = load(root / "services/a/goctl.toml")
    assert loaded.is_member is is_member
    assert loaded.root == (root if is_member else root / "services/a")


def test_the_search_upwards_goes_past_files_that_name_others(root: Path) -> None:
    write(root, {"goctl.toml": '[workspace]\nmembers = ["x/a"]\n', "x/goctl.toml": '[workspace]\nmembers = ["b"]\n'})
    write(root, {"x/a/goctl.toml": TARGET, "x/b/goctl.toml": TARGET})
    assert load(root / "x/a/goctl.toml").root == root
    assert load(root / "x/b/goctl.toml").root == root / "x"


def test_a_submodule_of_git_is_a_member(root: Path) -> None:
    def git(folder: Path, *args: str) -> None:
        base = ("git", "-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "protocol.file.allow=always")
        subprocess.run([*base, *args], cwd=folder, check=True, capture_output=True)

    other = write(root.parent / "other", {"goctl.toml": TARGET})
    for folder in (other, root):
        git(folder, "init", "-q")
    git(other, "add", ".")
    git(other, "commit", "-qm", "x")
    write(root, {"goctl.toml": '[workspace]\nmembers = ["services/*"]\n'})
    git(root, "submodule", "add", str(other), "services/api")
    assert load(root / "services/api/goctl.toml").root == root
    assert list(crew(root).sessions) == ["api"]


# What a member has from above.

TOP = """[workspace]
members = ["services/*"]
[project]
name = "mono"
version = "9"
tag-prefix = "mono/"
[go]
directory = "x"
toolchain = "tools/go"
generate = ["./x"]
[platforms]
default = ["linux/arm64"]
[image]
user = "1"
base = "oci-layout:bases/top"
[registries.hub]
url = "oci-layout:hub"
ca = "certs/ca.pem"
[publish]
tags = ["top"]
[profiles.ci.image]
user = "2"
working-directory = "/ci"
[profiles.ci.publish]
tags = ["ci"]
"""
OWN = """[publish]
tags = ["own"]
[targets.x]
packages = ["./cmd/x"]
[targets.x.image]
working-directory = "/own"
[profiles.ci.publish]
tags = ["own-ci"]
"""


def shown(loaded: Loaded) -> dict[str, tuple[str, str]]:
    return {setting.path: (setting.value, setting.origin) for setting in settings(loaded)}


def test_inherited_tables_and_their_origins(root: Path) -> None:
    write(root, {"goctl.toml": TOP, "services/api/goctl.toml": OWN})
    file = os.path.join("services", "api", "goctl.toml")
    plain = shown(load(root / file, environment={"GOCTL_GO_TOOLCHAIN": "auto"}))
    assert plain["image.user"] == ("1", "workspace (goctl.toml:14)")
    assert plain["targets.x.image.user"] == ("1", "workspace (goctl.toml:14)")
    assert plain["platforms.default"] == ("linux/arm64", "workspace (goctl.toml:12)")
    assert plain["publish.tags"] == ("own", f"file ({file}:2)")
    assert plain["targets.x.image.working-directory"] == ("/own", f"file ({file}:6)")
    assert plain["go.toolchain"] == ("auto", "environment GOCTL_GO_TOOLCHAIN")
    assert plain["registries.hub.ca"] == ("certs/ca.pem", "workspace (goctl.toml:18)")
    # Paths of the workspace's file count from its folder for its members too.
    assert plain["targets.x.image.base"] == ("oci-layout:bases/top", "workspace (goctl.toml:15)")
    # Names, versions and what is about one module are a project's own.
    assert plain["project.name"] == ("api", "default")
    assert plain["project.tag-prefix"] == ("", "default")
    assert plain["project.version"][1] == "default"
    assert plain["go.directory"] == ("services/api", "discovered")
    assert plain["go.generate"] == ("-", "default")


def test_profiles_of_the_workspace_win_over_files_and_those_of_the_member_over_them(root: Path) -> None:
    write(root, {"goctl.toml": TOP, "services/api/goctl.toml": OWN})
    file = os.path.join("services", "api", "goctl.toml")
    ci = shown(load(root / file, profile="ci", environment={}))
    assert ci["publish.tags"] == ("own-ci", f"profile ci ({file}:8)")
    assert ci["image.user"] == ("2", "profile ci (goctl.toml:22)")
    assert ci["targets.x.image.user"] == ("2", "profile ci (goctl.toml:22)")
    assert ci["image.working-directory"] == ("/ci", "profile ci (goctl.toml:23)")
    # A target's own image is nearer than any defaults of images.
    assert ci["targets.x.image.working-directory"] == ("/own", f"file ({file}:6)")
    write(root, {"services/api/goctl.toml": OWN.replace("[profiles.ci.publish]\n", "[profiles.other.publish]\n")})
    ci = shown(load(root / file, profile="ci", environment={}))
    assert ci["publish.tags"] == ("ci", "profile ci (goctl.toml:25)")


def test_a_profile_may_be_one_members_alone(root: Path) -> None:
    write(root, {"goctl.toml": '[workspace]\nmembers = ["*"]\n', "a/goctl.toml": TARGET})
    write(root, {"b/goctl.toml": TARGET + "[profiles.ci.publish]\ntags = ['ci']\n"})
    tags = {name: session.config.publish.tags for name, session in crew(root, profile="ci").sessions.items()}
    assert tags == {"a": ("latest",), "b": ("ci",)}
    assert "no file of this workspace has a profile 'cj'" in problems(root, profile="cj")[0]
    assert "there is no profile 'ci'" in problems(root, "a/goctl.toml", profile="ci")[0]


def test_a_workspace_without_members_is_a_project(root: Path) -> None:
    write(root, {"goctl.toml": TARGET + "[workspace]\nmembers = []\n"})
    assert not crew(root).is_workspace
    assert "there is no profile 'ci'" in problems(root, profile="ci")[0]


# Where paths lead.

PATHS = """[project]
version = "file:VERSION"
[go]
toolchain = "tools/go/bin/go"
generate = ["./...", "./gen", "example.com/x"]
[platforms."linux/arm64"]
base = "oci-layout:bases/arm"
[image]
base = "oci-layout:bases/all"
[targets.x]
packages = ["./cmd/x", ".", "./...", "example.com/x/cmd/y", "..."]
[targets.x.image]
base = "oci-layout:../../bases/x"
assets = { "web/dist" = "/srv", "../shared" = "/shared" }
[registries.local]
url = "oci-layout:out/images"
[registries.hub]
url = "hub.example.com/x"
ca = "certs/ca.pem"
[registries.other]
url = "hub.example.com/y"
ca = "/etc/ca.pem"
[release]
dist = "out"
"""


@pytest.mark.parametrize(("module", "above"), [("services/api", ""), ("services", "/api"), (".", "/services/api")])
def test_every_path_of_a_member_counts_from_its_own_folder(root: Path, module: str, above: str) -> None:
    write(root, {"goctl.toml": '[workspace]\nmembers = ["services/*"]\n', f"{module}/go.mod": "module example.com/x\n"})
    write(root, {"services/api/goctl.toml": PATHS})
    config = load(root / "services/api/goctl.toml").config
    image = config.targets["x"].image
    assert isinstance(image, Image)
    assert config.project.version == "file:services/api/VERSION"
    assert config.go.toolchain == "services/api/tools/go/bin/go"
    assert config.go.directory == module
    assert config.go.generate == (f".{above}/...", f".{above}/gen", "example.com/x")
    own = f".{above}" if above else "."
    assert config.targets["x"].packages == (f"{own}/cmd/x", own, f"{own}/...", "example.com/x/cmd/y", "...")
    assert config.platforms.settings["linux/arm64"].base == "oci-layout:services/api/bases/arm"
    assert config.image.base == "oci-layout:services/api/bases/all"
    assert image.base == "oci-layout:bases/x"
    assert image.assets == {"services/api/web/dist": "/srv", "services/shared": "/shared"}
    assert config.registries["local"].url == "oci-layout:services/api/out/images"
    assert config.registries["hub"].url == "hub.example.com/x"
    assert config.registries["hub"].ca == "services/api/certs/ca.pem"
    assert config.registries["other"].ca == "/etc/ca.pem"
    assert config.release.dist == "services/api/out"


def test_packages_count_from_go_directory_where_a_member_gives_it(root: Path) -> None:
    write(root, {"goctl.toml": '[workspace]\nmembers = ["*"]\n', "a/src/go.mod": "module a\n", "go.mod": "module b\n"})
    own = TARGET + '[go]\ndirectory = "src"\ngenerate = ["./gen"]\n'
    write(root, {"a/goctl.toml": own})
    config = load(root / "a/goctl.toml").config
    assert (config.go.directory, config.targets["x"].packages, config.go.generate) == ("a/src", ("./cmd/x",), ("./gen",))
    # A profile may give it, too.
    write(root, {"a/goctl.toml": TARGET + '[profiles.p.go]\ndirectory = "src"\n'})
    config = load(root / "a/goctl.toml", profile="p").config
    assert (config.go.directory, config.targets["x"].packages) == ("a/src", ("./cmd/x",))
    config = load(root / "a/goctl.toml").config
    assert (config.go.directory, config.targets["x"].packages) == (".", ("./a/cmd/x",))


@pytest.mark.parametrize(
    ("setting", "line"),
    [
        ('[release]\ndist = "../../x"', 5),
        ('[release]\ndist = "."', 5),
        ('[release]\ndist = ".."', 5),
        ('[release]\ndist = "C:x"', 5),
        ('[go]\ndirectory = "../../x"', 5),
        ('[registries.x]\nurl = "oci-layout:../.."', 5),
        ('[registries.x]\nurl = "oci-layout:."', 5),
        ('[registries.x]\nurl = "hub.example.com/x"\nca = "../../ca.pem"', 6),
        ('[targets.x.image.assets]\n"ok" = "/a"\n"../../x" = "/x"', 6),
        ('[targets.x.image.assets]\n"ok" = "x"', 5),
        ('[targets.x.image]\nassets = { "/etc" = "/x" }', 5),
    ],
)
def test_paths_stay_in_the_workspace_and_out_of_sources(root: Path, setting: str, line: int) -> None:
    write(root, {"goctl.toml": '[workspace]\nmembers = ["*"]\n', "api/goctl.toml": f"\n{TARGET}{setting}\n"})
    (told,) = problems(root)
    assert told.startswith(f"{os.path.join('api', 'goctl.toml')}:{line}: "), told


def test_a_shared_dist_that_holds_a_project_is_refused_in_the_workspaces_file(root: Path) -> None:
    write(root, {"goctl.toml": '[workspace]\nmembers = ["services/*"]\n[release]\ndist = "services"\n'})
    write(root, {"services/api/goctl.toml": TARGET, "services/web/goctl.toml": TARGET})
    assert problems(root) == [
        f"goctl.toml:4: release.dist: 'services' holds the project in services/{name}; "
        "expected a folder that holds nothing but what is made"
        for name in ("api", "web")
    ]


# Targets and names that nobody wrote.


def test_what_a_member_need_not_say(root: Path) -> None:
    write(root, {"goctl.toml": '[workspace]\nmembers = ["services/*"]\n', "go.mod": "module example.com/mono\n"})
    write(root, {f"services/{name}/goctl.toml": "" for name in ("api", "My Web")})
    write(root, {f"services/{path}/main.go": "package main\n" for path in ("api/cmd/api", "api/cmd/tool", "My Web")})
    made = crew(root)
    assert list(made.sessions) == ["my-web", "api"]
    packages = {name: {n: t.packages for n, t in config.targets.items()} for name, config in made.configs.items()}
    assert packages == {
        "my-web": {"my-web": ("./services/My Web",)},
        "api": {"api": ("./services/api/cmd/api",), "tool": ("./services/api/cmd/tool",)},
    }
    images = [target.image for config in made.configs.values() for target in config.targets.values()]
    assert [image.repository for image in images if isinstance(image, Image)] == ["my-web", "api", "api/tool"]
    assert {config.registries["local"].url for config in made.configs.values()} == {"oci-layout:dist/images"}
    assert [config.release.dist for config in made.configs.values()] == ["dist/my-web", "dist/api"]
    assert {session.output for session in made.sessions.values()} == {root / "dist"}


def test_the_root_is_a_project_too_where_it_has_targets(root: Path) -> None:
    write(root, {"goctl.toml": '[workspace]\nmembers = ["*"]\n' + TARGET, "a/goctl.toml": TARGET})
    made = crew(root)
    assert list(made.sessions) == ["mono", "a"]
    dists = [session.config.release.dist for session in made.sessions.values()]
    assert dists == ["dist", "dist/a"]


# Problems, each once.


def test_problems_are_told_once_in_the_file_they_are_in(root: Path) -> None:
    write(root, {"goctl.toml": '[workspace]\nmembers = ["*"]\n[image]\ncompression = "brotli"\n[nonsense]\n'})
    write(root, {"a/goctl.toml": TARGET + "stmap = 1\n", "b/goctl.toml": TARGET, "c/goctl.toml": "[[["})
    told = problems(root)
    places = [one.split(": ")[0] for one in told]
    assert places == ["goctl.toml:4", "goctl.toml:5", f"{os.path.join('a', 'goctl.toml')}:3", told[3].split(": ")[0]]
    assert told[3].startswith(f"{os.path.join('c', 'goctl.toml')}:1")
    # From inside a member, its own problems and those it inherits.
    assert [one.split(": ")[0] for one in problems(root, "a/goctl.toml")] == [places[2], places[0]]
    assert [one.split(": ")[0] for one in problems(root, "b/goctl.toml")] == [places[0]]


def test_two_projects_of_one_name_are_refused(root: Path) -> None:
    write(root, {"goctl.toml": '[workspace]\nmembers = ["*/x"]\n', "a/x/goctl.toml": TARGET, "b/x/goctl.toml": TARGET})
    (told,) = problems(root)
    assert told.startswith(f"{os.path.join('b', 'x', 'goctl.toml')}:1: a/x is called 'x' too")
    write(root, {"b/x/goctl.toml": '\n[project]\nname = "x"\n' + TARGET})
    assert problems(root)[0].startswith(f"{os.path.join('b', 'x', 'goctl.toml')}:3: ")
    # And from inside a project that needs one of them.
    write(root, {"c/x/goctl.toml": '[project]\nname = "c"\nneeds = ["x"]\n' + TARGET})
    assert "is called 'x' too" in problems(root, "c/x/goctl.toml")[0]


def test_unknown_needs_name_the_known_ones(root: Path) -> None:
    write(root, {"goctl.toml": '[workspace]\nmembers = ["*"]\n', "a/goctl.toml": TARGET})
    write(root, {"b/goctl.toml": f'[project]\nneeds = ["a", "aa"]\n{TARGET}'})
    expected = f"{os.path.join('b', 'goctl.toml')}:2: project.needs: there is no project 'aa' (known are a, b)"
    assert problems(root) == [expected]
    assert problems(root, "b/goctl.toml") == [expected]


def test_needs_without_a_workspace_are_refused(root: Path) -> None:
    write(root, {"goctl.toml": f'[project]\nneeds = ["a"]\n{TARGET}'})
    (told,) = problems(root)
    assert told.startswith("goctl.toml:2: project.needs: ")
    assert "no workspace" in told


def test_a_circle_of_needs_is_told_whole_from_both_sides(root: Path) -> None:
    write(root, {"goctl.toml": '[workspace]\nmembers = ["*"]\n'})
    for name, need in {"a": "b", "b": "c", "c": "a", "d": "a"}.items():
        write(root, {f"{name}/goctl.toml": f'[project]\nneeds = ["{need}"]\n{TARGET}'})
    for file in ("goctl.toml", "b/goctl.toml", "d/goctl.toml"):
        (told,) = problems(root, file)
        circle = told.split(": ")[1].split(" (")[0].split(" needs ")
        assert len(circle) == 4
        assert circle[0] == circle[-1]
        assert all((one, other) in {("a", "b"), ("b", "c"), ("c", "a")} for one, other in itertools.pairwise(circle))


def test_a_member_comes_with_what_it_needs(root: Path) -> None:
    write(root, {"goctl.toml": '[workspace]\nmembers = ["*"]\n[project]\nname = "all"\n' + TARGET})
    for name, needs in {"a": "", "b": '"a", "all"', "c": '"b"', "d": ""}.items():
        write(root, {f"{name}/goctl.toml": f"[project]\nneeds = [{needs}]\n{TARGET}"})
    whole, member = crew(root), crew(root, "c/goctl.toml")
    assert set(member.sessions) == {"a", "all", "b", "c"}
    assert whole.waves(whole.sessions) == [["all", "a", "d"], ["b"], ["c"]]
    assert [set(wave) for wave in member.waves(member.sessions)] == [{"a", "all"}, {"b"}, {"c"}]
    assert member.configs == {name: whole.configs[name] for name in member.configs}
    assert (whole.is_whole, member.is_whole) == (True, False)
    assert whole.name == member.name == "all"
    # Tasks about one project are about this one.
    assert [session.config.project.name for session in member.files] == ["c"]
    assert [session.config.project.name for session in whole.files] == ["all", "a", "b", "c", "d"]
