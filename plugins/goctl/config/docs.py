"""`python -m goctl.config.docs [--check]`: writes the schema and the reference, or fails when they are out of date."""

from __future__ import annotations

import sys
from pathlib import Path

from goctl.config.reference import reference
from goctl.config.schema import json_schema
from goctl.values import to_json

FOLDER = Path(__file__).resolve().parents[3] / "docs"


def documents() -> dict[str, str]:
    """The generated documents, by file name."""
    return {
        "goctl.schema.json": to_json(json_schema(), indent=2).decode() + "\n",
        "reference.md": reference(),
    }


def main(arguments: list[str]) -> int:
    """Writes them; with --check only compares. The exit code."""
    stale = []
    for name, text in documents().items():
        path = FOLDER / name
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(name)
        if "--check" not in arguments:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
    if stale and "--check" in arguments:
        sys.stderr.write(f"out of date: {', '.join(stale)}; run `python -m goctl.config.docs`\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
