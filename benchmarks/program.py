"""Writes the Go program that the benchmarks release: commands of about 2 to 120 MB, made from public modules only.

    python benchmarks/program.py DIR [--commands 8] [--small]

A command grows by what it imports: clients of Kubernetes, of Google's and of Amazon's services. Their constructors are
handed to `core.Keep`, which looks methods up by name, so that the linker must keep the whole surface of each. Nothing is
embedded. Every command but the first imports `internal/core`; `edit` changes one constant in it.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
from pathlib import Path

import msgspec

MODULE = "example.com/measure"
GO = "1.24.0"

#: Versions are pinned, and with them what go.sum comes to.
REQUIRE = {
    "github.com/aws/aws-sdk-go": "v1.55.8",
    "github.com/prometheus/client_golang": "v1.22.0",
    "github.com/spf13/cobra": "v1.9.1",
    "github.com/spf13/viper": "v1.20.1",
    "google.golang.org/api": "v0.240.0",
    "google.golang.org/grpc": "v1.73.0",
    "k8s.io/apiextensions-apiserver": "v0.33.2",
    "k8s.io/client-go": "v0.33.2",
    "sigs.k8s.io/controller-runtime": "v0.21.0",
}

#: Packages below github.com/aws/aws-sdk-go/service, the largest first.
AWS = """
ec2 sagemaker quicksight connect glue lexmodelsv2 lightsail medialive iam mediaconvert pinpoint
redshift gamelift cloudfront configservice
""".split()

#: Packages below google.golang.org/api.
GOOGLE = """
compute/v1 container/v1 storage/v1 bigquery/v2 cloudbuild/v1 cloudresourcemanager/v3 dns/v1 iam/v1 logging/v2 monitoring/v3
pubsub/v1 run/v1 secretmanager/v1 spanner/v1 sqladmin/v1 dataflow/v1b3 dataproc/v1 healthcare/v1 youtube/v3 sheets/v4
drive/v3 gmail/v1 calendar/v3 admin/directory/v1
""".split()


class Keep(msgspec.Struct, frozen=True):
    """One imported package and the expression of it that a program keeps."""

    path: str
    alias: str
    symbol: str


class Command(msgspec.Struct, frozen=True):
    """One main package; `areas` are the internal packages it imports, by name."""

    name: str
    areas: tuple[str, ...] = ()
    plain: bool = False


def areas() -> dict[str, tuple[Keep, ...]]:
    """The internal packages and what each keeps. A few services in each, as people split such code."""
    made: dict[str, tuple[Keep, ...]] = {
        "web": (Keep("net/http", "http", "ListenAndServe"), Keep("html/template", "template", "New")),
        "metrics": (Keep("github.com/prometheus/client_golang/prometheus/promhttp", "promhttp", "Handler"),),
        "flags": (
            Keep("github.com/spf13/cobra", "cobra", "NoArgs"),
            Keep("github.com/spf13/viper", "viper", "New"),
        ),
        "rpc": (
            Keep("google.golang.org/grpc", "grpc", "NewServer"),
            Keep("google.golang.org/grpc/health", "health", "NewServer"),
            Keep("google.golang.org/grpc/reflection", "reflection", "Register"),
        ),
        "cluster": (
            Keep("k8s.io/client-go/kubernetes", "kubernetes", "NewForConfig"),
            Keep("k8s.io/client-go/informers", "informers", "NewSharedInformerFactory"),
            Keep("k8s.io/client-go/dynamic", "dynamic", "NewForConfig"),
        ),
        "operator": (
            Keep("sigs.k8s.io/controller-runtime", "ctrl", "NewManager"),
            Keep("k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset", "apiextensions", "NewForConfig"),
        ),
    }
    for number, names in enumerate(_batched(AWS, 5)):
        made[f"aws{number}"] = tuple(Keep(f"github.com/aws/aws-sdk-go/service/{name}", name, "New") for name in names)
    for number, names in enumerate(_batched(GOOGLE, 12)):
        made[f"google{number}"] = tuple(
            Keep(f"google.golang.org/api/{path}", re.sub(r"\W", "", path), "NewService") for path in names
        )
    return made


def _batched(names: list[str], size: int) -> list[tuple[str, ...]]:
    return [tuple(names[at : at + size]) for at in range(0, len(names), size)]


def commands() -> list[Command]:
    """The commands, smallest first."""
    known = areas()
    google = tuple(name for name in known if name.startswith("google"))
    return [
        Command("ping", plain=True),
        Command("server", ("web",)),
        Command("tool", ("web", "flags")),
        Command("rpc", ("web", "metrics", "rpc")),
        Command("google", ("web", "metrics", "rpc", "cluster", *google)),
        Command("operator", ("web", "metrics", "cluster", "operator")),
        Command("storage", ("web", "metrics", "flags", "cluster", "aws0")),
        Command("console", ("web", "metrics", "flags", "rpc", "cluster", "operator", "aws1", "aws2")),
    ]


def write(folder: Path, chosen: list[Command]) -> None:
    """Writes the sources of these commands, and has go complete go.mod and go.sum."""
    known = areas()
    used = sorted({area for command in chosen for area in command.areas})
    paths = {keep.path for area in used for keep in known[area]}
    requires = {
        module: version for module, version in REQUIRE.items() if any(f"{path}/".startswith(f"{module}/") for path in paths)
    }
    lines = [f"module {MODULE}", "", f"go {GO}", "", "require (", *(f"\t{m} {v}" for m, v in requires.items()), ")", ""]
    _put(folder / "go.mod", "\n".join(lines))
    _put(folder / "internal" / "core" / "core.go", CORE)
    for area in used:
        _put(folder / "internal" / area / f"{area}.go", _area(area, known[area]))
    for command in chosen:
        _put(folder / "cmd" / command.name / "main.go", _main(command))
    subprocess.run(["go", "mod", "tidy"], cwd=folder, check=True, env=environment())


#: Of the environment: what changes builds, and what keeps Python from keeping what it compiled.
_UNSET = {"GOFLAGS", "GOOS", "GOARCH", "GOWORK", "GOGC", "PYTHONDONTWRITEBYTECODE"}


def environment() -> dict[str, str]:
    """The caller's environment without what would change a build."""
    return {name: value for name, value in os.environ.items() if name not in _UNSET}


def edit(folder: Path, number: int) -> Path:
    """Changes the constant in the package that most commands import; each number gives other programs."""
    path = folder / "internal" / "core" / "core.go"
    text = path.read_text(encoding="utf-8")
    path.write_text(re.sub(r'const Edit = ".*"', f'const Edit = "{number}"', text), encoding="utf-8")
    return path


def edit_leaf(folder: Path, number: int) -> Path:
    """Changes a file of the command `server` that nothing else is made from."""
    path = folder / "cmd" / "server" / "edition.go"
    _put(path, f'package main\n\nvar edition = "{number}"\n\nfunc init() {{ _ = edition }}\n')
    return path


CORE = f"""// Package core is what most commands import.
package core

import (
	"fmt"
	"os"
	"reflect"
)

// Edit is changed by the benchmark.
const Edit = "0"

// Keep looks methods up by a name that is known only when the program runs, so that the linker keeps all of them.
func Keep(values ...any) {{
	if len(os.Args) < 2 {{
		return
	}}
	for _, value := range values {{
		fmt.Println(reflect.ValueOf(value).MethodByName(os.Args[1]).IsValid())
	}}
}}

// Main prints who runs.
func Main(name string) {{
	fmt.Println("{MODULE}", name, Edit)
}}
"""


def _area(name: str, keeps: tuple[Keep, ...]) -> str:
    imports = "\n".join(f'\t{keep.alias} "{keep.path}"' for keep in keeps)
    values = ", ".join(f"{keep.alias}.{keep.symbol}" for keep in keeps)
    return f"""// Package {name} keeps the clients it imports.
package {name}

import (
{imports}

	"{MODULE}/internal/core"
)

// Keep keeps them.
func Keep() {{ core.Keep({values}) }}
"""


def _main(command: Command) -> str:
    if command.plain:
        return 'package main\n\nimport "fmt"\n\nfunc main() { fmt.Println("pong") }\n'
    imports = "\n".join(f'\t"{MODULE}/internal/{area}"' for area in ("core", *command.areas))
    calls = "\n".join(f"\t{area}.Keep()" for area in command.areas)
    return f'package main\n\nimport (\n{imports}\n)\n\nfunc main() {{\n\tcore.Main("{command.name}")\n{calls}\n}}\n'


def _put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--commands", type=int, default=8, help="how many of the commands, smallest first")
    parser.add_argument("--small", action="store_true", help="the four smallest: the program of the cold benchmark")
    args = parser.parse_args()
    write(args.folder, commands()[: 4 if args.small else args.commands])
    print(args.folder)


if __name__ == "__main__":
    main()
