"""Values that cannot be invalid: a digest, a platform, an image reference, a number of bytes, a duration.

Text from outside is parsed into them at the edge and travels as them from there on. Each `parse` raises ValueError with
a sentence that can be shown to a person as it is.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any, Final, Self, TypeVar

import msgspec

T = TypeVar("T")

_HEX_LENGTH: Final = {"sha256": 64, "sha512": 128}
_HEX = re.compile(r"[0-9a-f]+\Z")


class Digest(str):
    """`sha256:<64 lower-case hex digits>` (or sha512), as the OCI image specification writes a content digest."""

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        algorithm, colon, digits = text.partition(":")
        length = _HEX_LENGTH.get(algorithm)
        if not colon or length is None:
            raise ValueError(f"{text!r} is not a digest: write sha256:<64 hex digits>")
        if len(digits) != length or not _HEX.match(digits):
            raise ValueError(f"{text!r} is not a digest: {algorithm} takes {length} lower-case hex digits")
        return super().__new__(cls, text)

    @classmethod
    def of(cls, content: bytes) -> Digest:
        """The sha256 of some bytes."""
        return cls("sha256:" + hashlib.sha256(content).hexdigest())

    @property
    def algorithm(self) -> str:
        return self.partition(":")[0]

    @property
    def hex(self) -> str:
        return self.partition(":")[2]

    @property
    def short(self) -> str:
        """Twelve digits, for people."""
        return self.hex[:12]


#: GOOS values that Go has named; a platform's os is one of them (from `go tool dist list` of Go 1.27).
OPERATING_SYSTEMS: Final = frozenset(
    "aix android darwin dragonfly freebsd illumos ios js linux netbsd openbsd plan9 solaris wasip1 windows".split()
)
ARCHITECTURES: Final = frozenset(
    "386 amd64 arm arm64 loong64 mips mips64 mips64le mipsle ppc64 ppc64le riscv64 s390x wasm".split()
)
#: How an architecture's variants are spelled in OCI, the first being what a bare name means (image-spec: image-index.md,
#: "Platform variants"; containerd's platforms.Normalize drops amd64/v1 and arm64/v8 and adds arm/v7).
VARIANTS: Final[dict[str, tuple[str, ...]]] = {
    "amd64": ("v1", "v2", "v3", "v4"),
    "arm": ("v7", "v6", "v5"),
    "arm64": tuple("v8 v8.1 v8.2 v8.3 v8.4 v8.5 v8.6 v8.7 v8.8 v8.9 v9 v9.1 v9.2 v9.3 v9.4 v9.5".split()),
}
_ALIASES: Final = {
    "x86_64": "amd64",
    "x86-64": "amd64",
    "aarch64": "arm64",
    "i386": "386",
    "armhf": "arm/v7",
    "armel": "arm/v6",
    "armv7": "arm/v7",
    "armv6": "arm/v6",
    "armv5": "arm/v5",
}


class Platform(msgspec.Struct, frozen=True, order=True):
    """What a program runs on, in OCI's spelling: `os/architecture[/variant]`, normalised.

    `linux/arm` is `linux/arm/v7`; `linux/amd64/v1` is `linux/amd64`; `linux/arm64/v8` is `linux/arm64`. `os_version` is
    not part of the spelling; it is read from Windows base images.
    """

    os: str
    architecture: str
    variant: str = ""
    os_version: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)

    @property
    def slug(self) -> str:
        """The platform as a part of a file name: `linux-arm-v7`."""
        return str(self).replace("/", "-")

    @classmethod
    def parse(cls, text: str) -> Platform:
        """`linux/amd64`, `linux/arm/v7`, `windows/amd64`... with the aliases Docker knows (`linux/aarch64`)."""
        parts = [part.strip().lower() for part in text.split("/")]
        if len(parts) < 2 or len(parts) > 3 or not all(parts):
            raise ValueError(f"{text!r} is not a platform: write os/architecture or os/architecture/variant")
        if len(parts) == 2:
            parts = [parts[0], *_ALIASES.get(parts[1], parts[1]).split("/")]
        os, architecture = parts[0], _ALIASES.get(parts[1], parts[1])
        if os not in OPERATING_SYSTEMS:
            raise ValueError(f"{text!r}: {os!r} is no operating system that Go builds for{_nearest(os, OPERATING_SYSTEMS)}")
        if architecture not in ARCHITECTURES:
            raise ValueError(
                f"{text!r}: {architecture!r} is no architecture that Go builds for{_nearest(architecture, ARCHITECTURES)}"
            )
        return cls(os, architecture, _variant(text, architecture, parts[2] if len(parts) == 3 else ""))


def _variant(text: str, architecture: str, variant: str) -> str:
    known = VARIANTS.get(architecture, ())
    variant = re.sub(r"^(v\d+)\.0$", r"\1", variant)
    if variant and variant not in known:
        listed = ", ".join(known) if known else "none"
        raise ValueError(f"{text!r}: {architecture} has no variant {variant!r}; it has {listed}")
    if architecture == "arm":
        return variant or "v7"
    return "" if known and variant == known[0] else variant


def _nearest(word: str, known: frozenset[str]) -> str:
    import difflib

    close = difflib.get_close_matches(word, sorted(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""


#: distribution-spec, "Pulling manifests": names and tags.
_REPOSITORY = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*\Z")
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}\Z")
_HOST = re.compile(r"(?:\[[0-9a-fA-F:.]+\]|[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?)(?::[0-9]{1,5})?\Z")
DOCKER_HUB: Final = "docker.io"


def is_repository(text: str) -> bool:
    return len(text) <= 255 and bool(_REPOSITORY.match(text))


def is_tag(text: str) -> bool:
    return bool(_TAG.match(text))


def is_host(text: str) -> bool:
    return bool(_HOST.match(text))


class ImageRef(msgspec.Struct, frozen=True):
    """`host/repository[:tag][@digest]`, with Docker Hub's defaults filled in (`alpine` is `docker.io/library/alpine`).

    Without tag and digest, `tag` is `latest`.
    """

    host: str
    repository: str
    tag: str = ""
    digest: Digest | None = None

    def __str__(self) -> str:
        name = f"{self.host}/{self.repository}"
        if self.tag:
            name += f":{self.tag}"
        return f"{name}@{self.digest}" if self.digest else name

    @property
    def target(self) -> str:
        """What to ask the registry for: the digest where there is one, else the tag."""
        return self.digest or self.tag

    def with_digest(self, digest: Digest) -> ImageRef:
        return ImageRef(self.host, self.repository, self.tag, digest)

    @classmethod
    def parse(cls, text: str) -> ImageRef:
        name, at, digest = text.partition("@")
        rest, colon, tag = name, "", ""
        if ":" in name.rsplit("/", 1)[-1]:
            rest, colon, tag = name.rpartition(":")
        host, slash, repository = rest.partition("/")
        # A first part is a host when it looks like one (distribution/reference, splitDockerDomain).
        if not slash or not ("." in host or ":" in host or host == "localhost" or host != host.lower()):
            host, repository = DOCKER_HUB, rest
        if host in ("index.docker.io", "registry-1.docker.io"):
            host = DOCKER_HUB
        if host == DOCKER_HUB and "/" not in repository:
            repository = f"library/{repository}"
        if not is_host(host) or not is_repository(repository):
            raise ValueError(f"{text!r} is not an image reference: write host/name[:tag][@sha256:...] in lower case")
        if colon and not is_tag(tag):
            raise ValueError(f"{text!r}: {tag!r} is not a tag")
        if not at and not tag:
            tag = "latest"
        return cls(host, repository, tag, Digest(digest) if at else None)


_SIZE_UNITS: Final = {"": 1, "B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12} | {
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}


class ByteSize(int):
    """A number of bytes; prints as people read it (`12.3 MB`)."""

    @classmethod
    def parse(cls, text: str) -> ByteSize:
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", text)
        if match is None or match[2] not in _SIZE_UNITS:
            raise ValueError(f"{text!r} is not a size: write a number and one of {', '.join(filter(None, _SIZE_UNITS))}")
        return cls(float(match[1]) * _SIZE_UNITS[match[2]])

    def __str__(self) -> str:
        value = float(self)
        for unit in ("B", "kB", "MB", "GB"):
            if value < 999.5:
                return f"{value:.0f} {unit}" if unit in ("B", "kB") or value >= 100 else f"{value:.1f} {unit}"
            value /= 1000
        return f"{value:.1f} TB"


class Duration(float):
    """Seconds; prints as people read them (`0.21 s`, `1 m 5 s`)."""

    def __str__(self) -> str:
        if self < 10:
            return f"{float(self):.2f} s"
        if self < 60:
            return f"{float(self):.1f} s"
        minutes, seconds = divmod(round(self), 60)
        return f"{minutes} m {seconds} s"


def _encode(value: Any) -> Any:
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    raise NotImplementedError(f"{type(value).__name__} has no JSON form")


def _decode(kind: type, value: Any) -> Any:
    return kind(value)


_USERINFO = re.compile(r"(?<=://)[^/@\s,]+@")
_SECRETIVE = re.compile(r"pass|token|secret|key|credential|auth", re.IGNORECASE)


def is_secretive(name: str) -> bool:
    """Whether a setting's or a variable's name says that its value is to be shown to nobody."""
    return _SECRETIVE.search(name) is not None


def without_userinfo(text: str) -> str:
    """Addresses in a text without what stands before their @: a user's name, and often a password."""
    return _USERINFO.sub("***@", text)


def to_json(value: Any, *, indent: int = 0) -> bytes:
    """JSON of structs and values, keys in the order of their fields; `indent` makes it pretty."""
    encoded = msgspec.json.encode(value, enc_hook=_encode)
    return msgspec.json.format(encoded, indent=indent) if indent else encoded


def from_json(content: bytes, kind: type[T]) -> T:
    """The inverse of to_json. Raises msgspec.ValidationError or msgspec.DecodeError (both ValueErrors)."""
    return msgspec.json.decode(content, type=kind, dec_hook=_decode)


class Descriptor(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A pointer to content, in the form and field order of OCI's image-spec (descriptor.md)."""

    media_type: str
    digest: Digest
    size: int
    platform: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
