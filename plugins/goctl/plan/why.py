"""Why a step is no longer known: what is different between the fields it had and those it has."""

from __future__ import annotations

from collections.abc import Mapping


def differences(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """One sentence for each field that changed, came or went, in the order of the fields."""
    sentences = []
    for name, value in now.items():
        if name not in before:
            sentences.append(f"{name} is new: {_shown(value)}")
        elif before[name] != value:
            sentences.append(f"{name} changed: {_shown(before[name])} is now {_shown(value)}")
    return sentences + [f"{name} is gone: {_shown(value)}" for name, value in before.items() if name not in now]


def _shown(value: str) -> str:
    if value.startswith("sha256:"):
        return value[:19]
    return value or "nothing"
