"""`python -m goctl.config.docs [--check]`: writes the schema and the reference, or fails when they are out of date."""

from __future__ import annotations

import sys
from collections.abc import Mapping
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


def bring_up_to_date(folder: Path, documents: Mapping[str, str], maker: str, *, check: bool) -> int:
    """Writes documents that are not as they should be; with `check` only names them, and the module that makes them. The
    exit code.
    """
    stale = []
    for name, text in documents.items():
        path = folder / name
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(name)
        if not check:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
    if stale and check:
        sys.stderr.write(f"out of date: {', '.join(stale)}; run `python -m {maker}`\n")
        return 1
    return 0


def main(arguments: list[str]) -> int:
    """Writes them; with --check only compares. The exit code."""
    return bring_up_to_date(FOLDER, documents(), "goctl.config.docs", check="--check" in arguments)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
