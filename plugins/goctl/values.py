"""Values that cannot be invalid: a digest, a platform, an image reference, a number of bytes, a duration.

Text from outside is parsed into them at the edge and travels as them from there on. Each `parse` raises ValueError with
a sentence that can be shown to a person as it is.
"""

from __future__ import annotations

import hashlib
import re
import threading
from typing import Any, Final, Self, TypeVar

import msgspec

from goctl import ports

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


class Platform(msgspec.Struct, frozen=True, order=True):
    """What a program runs on, in OCI's spelling: `os/architecture[/variant]`, normalised.

    `linux/arm` is `linux/arm/v7`; `linux/amd64/v1` is `linux/amd64`; `linux/arm64/v8` is `linux/arm64`. `features` are
    choices that Go knows and OCI has no spelling for; they follow the variant or stand in its place, each after a +:
    `linux/arm/v7+softfloat`, `linux/arm64/v8+lse+crypto`, `linux/mips/softfloat`. `os_version` is not part of the spelling;
    it is read from Windows base images.
    """

    os: str
    architecture: str
    variant: str = ""
    os_version: str = ""
    features: tuple[str, ...] = ()

    def __str__(self) -> str:
        # Features stand behind a variant where the architecture has any: arm64 without one is v8.
        variant = self.variant or (ports.VARIANTS.get(self.architecture, ("",))[0] if self.features else "")
        return "/".join(
            part for part in (self.os, self.architecture, "+".join(filter(None, (variant, *self.features)))) if part
        )

    @property
    def slug(self) -> str:
        """The platform as a part of a file name: `linux-arm-v7`."""
        return str(self).replace("/", "-").replace("+", "-")

    @property
    def pair(self) -> str:
        """GOOS/GOARCH, as `go tool dist list` has it."""
        return f"{self.os}/{self.architecture}"

    @property
    def plain(self) -> Platform:
        """The platform as OCI can spell it: without features."""
        return Platform(self.os, self.architecture, self.variant, self.os_version)

    @classmethod
    def parse(cls, text: str) -> Platform:
        """`linux/amd64`, `linux/arm/v7`... with the aliases Docker knows (`linux/aarch64`), and Go's words for variants
        (`linux/arm/7,softfloat`).

        A pair that Go is not known to build for is refused where it is a slip; else the toolchain will tell.
        """
        parts = [part.strip().lower() for part in text.split("/")]
        if len(parts) < 2 or len(parts) > 3 or not all(_WORD.match(part) for part in parts[:2]) or not parts[-1]:
            raise ValueError(f"{text!r} is not a platform: write os/architecture or os/architecture/variant")
        os, architecture = ports.ALIASES.get(parts[0], parts[0]), ports.ALIASES.get(parts[1], parts[1])
        architecture, _, implied = architecture.partition("/")
        if f"{os}/{architecture}" not in ports.PAIRS:
            meant = ports.slip(os, architecture)
            if meant:
                raise ValueError(
                    f"{text!r} is no platform that Go builds for; did you mean {'/'.join((meant, *parts[2:]))}?"
                )
        words = re.split(r"[+,]", parts[2] if len(parts) == 3 else implied)
        try:
            variant, features = ports.choice(architecture, [_oci_word(architecture, word) for word in words if word])
        except ValueError as error:
            raise ValueError(f"{text!r}: {error}") from None
        return cls(os, architecture, variant, features=features)


_WORD = re.compile(r"[a-z0-9][a-z0-9_-]*\Z")


def _oci_word(architecture: str, word: str) -> str:
    """A variant as OCI spells it: Go says 7 and v9.0 where OCI says v7 and v9."""
    if architecture == "arm" and word in ("5", "6", "7"):
        return f"v{word}"
    return re.sub(r"^(v\d+)\.0$", r"\1", word)


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
    # `object` is a type that msgspec does not know: whatever stands there.
    return value if kind is object else kind(value)


def name_of(*words: str) -> str:
    """A name for what words stand for together: 40 digits in lower-case hex."""
    return hashlib.sha256("\0".join(words).encode("utf-8", "surrogateescape")).hexdigest()[:40]


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


_learned: set[object] = set()
_learning = threading.Lock()


def from_json(content: bytes | str, kind: type[T]) -> T:
    """The inverse of to_json. Raises msgspec.ValidationError or msgspec.DecodeError (both ValueErrors). Any thread may call
    it."""
    _learn(kind)
    return msgspec.json.decode(content, type=kind, dec_hook=_decode)


def from_msgpack(content: bytes, kind: type[T]) -> T:
    """As from_json, of MessagePack."""
    _learn(kind)
    return msgspec.msgpack.decode(content, type=kind, dec_hook=_decode)


def _learn(kind: object) -> None:
    """What a type is made of, msgspec learns when it meets it first, and two threads that are at the same one then meet a
    type half learned, which ends the process (msgspec 0.22, `StructInfo_Convert`)."""
    if kind not in _learned:
        with _learning:
            msgspec.json.Decoder(kind, dec_hook=_decode)
            _learned.add(kind)


class Descriptor(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A pointer to content, in the form and field order of OCI's image-spec (descriptor.md)."""

    media_type: str
    digest: Digest
    size: int
    platform: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
