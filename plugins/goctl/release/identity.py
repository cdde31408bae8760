"""What decides whether machines share results: the parts of every key that come from the machine. `doctor` compares them
with those of whoever wrote to the levels last."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from goctl.cache.shared import Result, result_key
from goctl.oci.compress import compressors
from goctl.oci.static import versions
from goctl.plan import keys
from goctl.plan.make import toolchain_fields
from goctl.values import from_json, to_json

if TYPE_CHECKING:
    from goctl.cache.chain import Chain
    from goctl.release.session import Session


def identity(session: Session) -> dict[str, str]:
    """The parts by name. Raises ToolchainError where there is no Go."""
    return {
        "keys": keys.FORMAT,
        **toolchain_fields(session.toolchain()),
        **{f"compressor {name}": version for name, version in sorted(compressors().items())},
        **{f"static {name}": version for name, version in sorted(versions().items())},
    }


def publish(session: Session) -> None:
    """Tells the levels who wrote to them, where that is news. Looks nothing up that the run did not need."""
    shared = session.stores.shared
    if shared is None or "_toolchain" not in vars(session):
        return
    now = to_json(identity(session))
    if session.stores.records.get("identity", session.config.project.name) != now:
        shared.put("identity", session.config.project.name, now)


def team(session: Session, chain: Chain) -> dict[str, str] | None:
    """The identity that the levels were told last; None where they know none."""
    answer = chain.read("result", result_key("identity", session.config.project.name))
    if answer is None:
        return None
    try:
        return from_json(from_json(answer[0], Result).value, dict[str, str])
    except ValueError:
        return None


def differences(here: Mapping[str, str], there: Mapping[str, str]) -> list[str]:
    """In what two machines differ, in words."""
    return [
        f"{name}: {here.get(name, 'none')} here, {there.get(name, 'none')} there"
        for name in sorted({*here, *there})
        if here.get(name) != there.get(name)
    ]
