"""Services of goctl's own that lead to a version on trial, beside the Services of a release that lead to the one before.

They bear a label of their own, so that whoever comes next finds them, whatever became of the run that made them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

from goctl.cluster.api import Api
from goctl.cluster.apply import PART_OF, Change
from goctl.cluster.hands import Hands
from goctl.cluster.manifests import Key
from goctl.cluster.objects import dig, each, name_of

#: The label of these Services: what kind of trial they are for.
TRIAL: Final = "goctl/trial"

#: `idle`: nobody is led to it but who tries it. `canary`: routes give it a share of requests.
Kind = Literal["idle", "canary"]


def beside(name: str, kind: Kind) -> str:
    """What the Service is called that leads to a version on trial; a name has 63 characters at most."""
    return f"{name[: 62 - len(kind)].rstrip('-')}-{kind}"


def lead(hands: Hands, switch: Change, kind: Kind) -> Key:
    """Has a second Service lead to the version that a Service will lead to."""
    content, service = switch.placed.content, switch.key
    key = Key("v1", "Service", service.namespace, beside(service.name, kind))
    ports = [
        {name: port[name] for name in ("name", "port", "targetPort", "protocol", "appProtocol") if name in port}
        for port in each(content, "spec", "ports")
    ]
    labels = {PART_OF: hands.where.part_of, TRIAL: kind}
    metadata = {"name": key.name, "namespace": key.namespace, "labels": labels}
    spec = {"selector": content["spec"]["selector"], "ports": ports}
    hands.check()
    hands.api.apply({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}, key, force=True)
    return key


def left(api: Api, changes: Iterable[Change], part_of: str) -> list[Key]:
    """Those that are there of a deployment, in the namespaces of these Services."""
    return [
        Key("v1", "Service", namespace, name_of(one))
        for namespace in sorted({change.key.namespace for change in changes if change.key.kind == "Service"})
        for one in api.objects("v1", "Service", namespace, labels={PART_OF: part_of})
        if TRIAL in (dig(one, "metadata", "labels") or {})
    ]
