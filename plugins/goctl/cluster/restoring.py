"""Back to the last good release, after one that was cut short or did not run: its Pods, then requests, then what is left.

Nothing leads to Pods before they run, and nothing is removed while requests go to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from goctl.cluster import routes, trials
from goctl.cluster.apply import Change
from goctl.cluster.beside import is_switch, outdated, version_of
from goctl.cluster.bluegreen import drain
from goctl.cluster.hands import Hands, manifests_of
from goctl.cluster.history import Record
from goctl.cluster.manifests import Key, Manifest
from goctl.cluster.rollout import restart_stuck


def has_versions(*records: Record) -> bool:
    """Whether any of these releases has versions beside each other."""
    return any(version_of(content) for record in records for content in record.documents)


def restore(
    hands: Hands,
    good: Record,
    others: Sequence[Record],
    *,
    kept: Sequence[dict[str, Any]],
    created: Iterable[Key] = (),
) -> None:
    """Makes a release run again, and requests go to it alone. `others` came after it, and had `created` made; versions among
    the contents `kept` stay. Raises ClusterError, and RolloutError where it does not run."""
    back = hands.compare([*manifests_of(good), *_routes_of(hands, good, others)])
    beside = has_versions(good, *others)
    leading = [one for one in back if beside and (one.key.kind == "Service" or routes.is_route(one.placed.content))]
    slots = {one.key.slot for one in leading}
    running = [one for one in back if one.key.slot not in slots]
    hands.apply(running)
    restart_stuck(hands.api, [one.key for one in running])
    hands.follow(one.key for one in running if leading and one.action != "same")
    hands.apply(leading)
    for key in created:
        hands.delete(key)
    hands.follow(one.key for one in back)
    if beside:
        remove(hands, back, kept, drains=any(one.action != "same" for one in leading if _takes(one)))


def remove(hands: Hands, changes: Sequence[Change], kept: Iterable[dict[str, Any]], *, drains: bool) -> None:
    """Removes versions that are neither this release's nor among the contents `kept`, and Services that led to one on trial;
    with `drains` once no request goes there any more."""
    old = outdated(hands.api, changes, kept, hands.where.part_of)
    tried = trials.left(hands.api, changes, hands.where.part_of)
    if tried or (old and drains):
        drain(hands.check)
    for key in (*tried, *old):
        hands.delete(key)


def _takes(change: Change) -> bool:
    """Whether applying this takes requests away from a version."""
    return is_switch(change) or routes.is_route(change.placed.content)


def _routes_of(hands: Hands, good: Record, others: Sequence[Record]) -> list[Manifest]:
    """Routes that only a release after the good one has, as its manifests say: they may share requests with a version that
    will be gone."""
    found: dict[Any, Manifest] = {}
    own = {one.key.slot for one in manifests_of(good)}
    for record in others:
        for one in manifests_of(record):
            if routes.is_route(one.content) and one.key.slot not in own and hands.api.get(one.key) is not None:
                found[one.key.slot] = one
    return list(found.values())
