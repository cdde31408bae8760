"""`[deploy.NAME]`: a place to deploy to."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from goctl.config.cluster import Cluster


class Deploy(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """A place to deploy to."""

    cluster: Annotated[
        Cluster,
        Meta(description="The cluster: one of kind's, or a context of your kubeconfig.", examples=[{"kind": "shop"}]),
    ]
