"""Generates a monorepo: one module, shared packages, projects with several commands each, a goctl.toml for every project.

python benchmarks/monorepo.py FOLDER [--projects 40] [--targets 3] [--libraries 30] [--weight 0]

Without weight a command is a dozen lines that print a word: what go spends on it is next to nothing beside what all of them
share, the standard library. With weight N each project is a service: its commands serve over HTTP, and it has N packages of
its own, each with as many types as a small protobuf file gives, and all of them linked.
"""

from __future__ import annotations

import argparse
from pathlib import Path

MODULE = "example.com/mono"
PLATFORMS = ("linux/amd64", "linux/arm64", "linux/arm/v7")
#: Types in each package of a service's own.
TYPES = 40


def generate(
    root: Path,
    *,
    projects: int = 40,
    targets: int = 3,
    libraries: int = 30,
    weight: int = 0,
    platforms: tuple[str, ...] = PLATFORMS,
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
        _project(root / f"services/s{number:02}", number, targets, libraries, weight)


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


def _project(folder: Path, number: int, targets: int, libraries: int, weight: int) -> None:
    name = folder.name
    text = [f'[project]\nname = "{name}"\n']
    for target in range(targets):
        used = sorted({(number * 7 + target * 3 + step * 11) % libraries for step in range(3)})
        imports = ["fmt", *(f"{MODULE}/lib/l{one}" for one in used)] + ([f"{MODULE}/lib/leaf"] if number == 0 else [])
        calls = [f"l{one}.Name()" for one in used] + (["leaf.Word()"] if number == 0 else [])
        call = f'fmt.Println("{name}-{target}", {", ".join(calls)})'
        if weight:
            imports += ["net/http", *(f"{MODULE}/services/{name}/internal/api{one}" for one in range(weight))]
            routes = "".join(f"\tapi{one}.Register(http.DefaultServeMux)\n" for one in range(weight))
            call += f'\n{routes}\tfmt.Println(http.ListenAndServe(":8080", nil))'
        lines = "".join(f'\t"{path}"\n' for path in sorted(imports))
        body = f"package main\n\nimport (\n{lines})\n\nfunc main() {{\n\t{call}\n}}\n"
        _write(folder / f"cmd/{name}-{target}/main.go", body)
        text.append(f'[targets."{name}-{target}"]\npackages = ["./cmd/{name}-{target}"]\nldflags = ["-s", "-w"]\n')
    _write(folder / "goctl.toml", "\n".join(text))
    for one in range(weight):
        _write(folder / f"internal/api{one}/api.go", _service(name, one))


def _service(project: str, number: int) -> str:
    """Types with what a generator writes for each: accessors, a check, a text form, and a handler that takes it."""
    made = [f"// Package api{number} is what {project} says to others.\npackage api{number}\n", _IMPORTS]
    made += [_TYPE.replace("NAME", f"Message{one}") for one in range(TYPES)]
    routes = "".join(f'\tmux.HandleFunc("/{project}/{number}/{one}", serveMessage{one})\n' for one in range(TYPES))
    return "\n".join([*made, f"func Register(mux *http.ServeMux) {{\n{routes}}}\n"])


_IMPORTS = """import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
)
"""

_TYPE = """type NAME struct {
	ID     int64             `json:"id"`
	Name   string            `json:"name"`
	Labels map[string]string `json:"labels"`
	Items  []NAMEItem        `json:"items"`
}

type NAMEItem struct {
	Key   string   `json:"key"`
	Value float64  `json:"value"`
	Tags  []string `json:"tags"`
}

func (m *NAME) GetID() int64 {
	if m == nil {
		return 0
	}
	return m.ID
}

func (m *NAME) Check() error {
	if m.GetID() <= 0 || m.Name == "" {
		return errors.New("NAME: id and name are needed, not " + strconv.FormatInt(m.ID, 10) + " and " + m.Name)
	}
	for at, item := range m.Items {
		switch {
		case item.Key == "":
			return errors.New("NAME: item " + strconv.Itoa(at) + " has no key")
		case item.Value < 0 || item.Value > 1e9:
			return errors.New("NAME: " + item.Key + " is out of range: " + strconv.FormatFloat(item.Value, 'g', -1, 64))
		}
	}
	return nil
}

func (m *NAME) String() string {
	var text strings.Builder
	text.WriteString("NAME{" + strconv.FormatInt(m.ID, 10) + " " + m.Name)
	for key, value := range m.Labels {
		text.WriteString(" " + key + "=" + value)
	}
	for _, item := range m.Items {
		text.WriteString(" " + item.Key + ":" + strconv.FormatFloat(item.Value, 'f', 3, 64) + strings.Join(item.Tags, ","))
	}
	return text.String() + "}"
}

func serveNAME(w http.ResponseWriter, r *http.Request) {
	var message NAME
	if err := json.NewDecoder(r.Body).Decode(&message); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if err := message.Check(); err != nil {
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		return
	}
	w.Header().Set("X-Message", message.String())
	_ = json.NewEncoder(w).Encode(&message)
}
"""


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    for option, default in (("projects", 40), ("targets", 3), ("libraries", 30), ("weight", 0)):
        parser.add_argument(f"--{option}", type=int, default=default)
    options = parser.parse_args()
    sizes = vars(options)
    generate(sizes.pop("folder"), **sizes)
