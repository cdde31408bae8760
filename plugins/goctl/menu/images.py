"""Tasks for images, tags and logins that are in registries already, and for bases."""

from __future__ import annotations

from inspect import Parameter

from goctl.menu.kind import COMMON, PLAIN, Kind, options

_REGISTRY = "its table in goctl.toml, or a host; may be left out where there is one"
_IMAGE = "HOST/REPOSITORY:TAG or @DIGEST, NAME/... below the url of [registries.NAME], oci-layout:DIR:REPOSITORY:TAG"
_REPOSITORY = "HOST/REPOSITORY, or NAME/... below the url of [registries.NAME]"

KINDS = {
    "base.update": Kind("look base images up anew and note them in goctl.lock", options(**PLAIN), COMMON),
    "base.status": Kind(
        "show which base images have moved since goctl.lock pinned them",
        options(check=False, **PLAIN),
        {"check": "fail where one has moved, or is not pinned", **COMMON},
    ),
    "manifest.create": Kind(
        "join images that exist in a registry into an index of several platforms",
        options(name=Parameter.empty, amend=None, replace=False, **PLAIN),
        {
            "name": "the index: HOST/REPOSITORY:TAG, or NAME/... below the url of [registries.NAME]",
            "amend": "an image, or an index of some, to take in; repeated for each",
            "replace": "let a later image take the place of an earlier one for the same platform",
            **COMMON,
        },
        ("amend",),
        ("name",),
    ),
    "manifest.inspect": Kind(
        "show an image's platforms, layers, what made them, and sizes",
        options(reference=Parameter.empty, compare="", unpacked=False, **PLAIN),
        {
            "reference": _IMAGE,
            "compare": "another image, to say which layers both have",
            "unpacked": "sizes of layers unpacked too: reads each of them to its end, and keeps nothing",
            **COMMON,
        },
        positional=("reference",),
    ),
    "tags.list": Kind(
        "show every tag of a repository",
        options(repository=Parameter.empty, **PLAIN),
        {"repository": _REPOSITORY, **COMMON},
        positional=("repository",),
    ),
    "tags.delete": Kind(
        "delete tags of a repository by number and age; with --dry, say which",
        options(repository=Parameter.empty, keep="", older="", protect=None, **PLAIN),
        {
            "repository": _REPOSITORY,
            "keep": "how many of the newest images to keep",
            "older": "delete only what was made longer ago than this: 12h, 30d, 8w",
            "protect": "a pattern of tags to keep in any case, like v*; may be repeated",
            **COMMON,
        },
        ("protect",),
        ("repository",),
    ),
    "referrer.attach": Kind(
        "attach files to an image: an SBOM, a report, a signature",
        options(reference=Parameter.empty, file=None, artifact_type="", media_type="", annotation=None, **PLAIN),
        {
            "reference": _IMAGE,
            "file": "a file to attach; may be repeated",
            "artifact_type": "what it is, as a media type: application/spdx+json",
            "media_type": "the media type of the files (default: application/octet-stream)",
            "annotation": "NAME=VALUE to note with it; may be repeated",
            **COMMON,
        },
        ("file", "annotation"),
        ("reference",),
    ),
    "referrer.list": Kind(
        "show what is attached to an image",
        options(reference=Parameter.empty, artifact_type="", **PLAIN),
        {"reference": _IMAGE, "artifact_type": "only what is of this type", **COMMON},
        positional=("reference",),
    ),
    "registry.login": Kind(
        "try a login at a registry, and keep it where Docker does",
        options(registry="", username="", **PLAIN),
        {"registry": _REGISTRY, "username": "who logs in; the password is read from standard input", **COMMON},
    ),
    "registry.logout": Kind(
        "forget the login for a registry", options(registry="", **PLAIN), {"registry": _REGISTRY, **COMMON}
    ),
    "registry.copy": Kind(
        "copy an image, with all its platforms, from one repository to another",
        options(source=Parameter.empty, target=Parameter.empty, **PLAIN),
        {"source": "HOST/NAME:TAG or HOST/NAME@DIGEST", "target": "HOST/NAME[:TAG]", **COMMON},
        positional=("source", "target"),
    ),
    "registry.retag": Kind(
        "give an image further tags",
        options(reference=Parameter.empty, tags=Parameter.empty, **PLAIN),
        {"reference": "HOST/NAME:TAG or HOST/NAME@DIGEST", "tags": "tags, separated by commas", **COMMON},
        positional=("reference", "tags"),
    ),
}
