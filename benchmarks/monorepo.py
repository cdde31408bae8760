"""Generates a monorepo: one module, shared packages, projects with several commands each, a goctl.toml for every project.

python benchmarks/monorepo.py FOLDER [--projects 40] [--targets 3] [--libraries 30]
"""

from __future__ import annotations

import argparse
from pathlib import Path

MODULE = "example.com/mono"
PLATFORMS = ("linux/amd64", "linux/arm64", "linux/arm/v7")


def generate(
    root: Path, *, projects: int = 40, targets: int = 3, libraries: int = 30, platforms: tuple[str, ...] = PLATFORMS
) -> None:
    """Writes the repository. Each command imports three of the libraries; the last library is imported by one project."""
    _write(root / "go.mod", f"module {MODULE}\n\ngo 1.24\n")
    _write(root / "tasks.py", 'from goctl import namespace\n\nns = namespace("goctl.toml")\n')
    listed = ", ".join(f'"{platform}"' for platform in platforms)
    _write(
        root / "goctl.toml",
        f'[workspace]\nmembers = ["services/*"]\n\n[platforms]\ndefault = [{listed}]\n\n'
        '[registries.local]\nurl = "oci-layout:dist/images"\n',
    )
    for number in range(libraries):
        _write(root / f"lib/l{number}/l.go", _library(number))
    _write(root / "lib/leaf/leaf.go", 'package leaf\n\nfunc Word() string { return "leaf" }\n')
    for number in range(projects):
        _project(root / f"services/s{number:02}", number, targets, libraries)


def edit(root: Path, round: int) -> None:
    """Changes the package that one project alone imports."""
    _write(root / "lib/leaf/leaf.go", f'package leaf\n\nfunc Word() string {{ return "leaf {round}" }}\n')


def _library(number: int) -> str:
    below = f'\n\t"{MODULE}/lib/l{number // 2}"' if number else ""
    call = f" + l{number // 2}.Name()" if number else ""
    return (
        f'package l{number}\n\nimport (\n\t"encoding/json"{below}\n)\n\n'
        f"func Name() string {{\n\ttext, _ := json.Marshal({number})\n\treturn string(text){call}\n}}\n"
    )


def _project(folder: Path, number: int, targets: int, libraries: int) -> None:
    name = folder.name
    text = [f'[project]\nname = "{name}"\n']
    for target in range(targets):
        used = sorted({(number * 7 + target * 3 + step * 11) % libraries for step in range(3)})
        imports = [f"{MODULE}/lib/l{one}" for one in used] + ([f"{MODULE}/lib/leaf"] if number == 0 else [])
        calls = [f"l{one}.Name()" for one in used] + (["leaf.Word()"] if number == 0 else [])
        lines = "".join(f'\t"{path}"\n' for path in ("fmt", *imports))
        call = f'fmt.Println("{name}-{target}", {", ".join(calls)})'
        body = f"package main\n\nimport (\n{lines})\n\nfunc main() {{\n\t{call}\n}}\n"
        _write(folder / f"cmd/{name}-{target}/main.go", body)
        text.append(f'[targets."{name}-{target}"]\npackages = ["./cmd/{name}-{target}"]\nldflags = ["-s", "-w"]\n')
    _write(folder / "goctl.toml", "\n".join(text))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    for option, default in (("projects", 40), ("targets", 3), ("libraries", 30)):
        parser.add_argument(f"--{option}", type=int, default=default)
    options = parser.parse_args()
    generate(options.folder, projects=options.projects, targets=options.targets, libraries=options.libraries)
