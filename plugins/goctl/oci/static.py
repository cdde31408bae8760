"""The built-in bases: `scratch`, and `static`, which is made in process from the packages certifi and tzdata.

`static` holds what a Go program without cgo may look for (crypto/x509/root_linux.go, time/zoneinfo_unix.go, os/user):
certificates, time zones, users, and a /tmp. Its programs run as nonroot.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from goctl.contracts import BlobStore, Memo
from goctl.oci.compress import compressors
from goctl.oci.layers import Compression, known, remembered, write_layer
from goctl.oci.packages import installed
from goctl.oci.tar import Entry, folder
from goctl.plan.facts import Base
from goctl.values import Descriptor, Digest, Platform, to_json

#: To be raised with every change of what `static` holds.
FORMAT = "1"
NONROOT = 65532
CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_DATA = 0o444

_USERS = (
    "root:x:0:0:root:/root:/sbin/nologin\n"
    "nobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\n"
    "nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n"
)
_GROUP = "root:x:0:\nnobody:x:65534:\ntty:x:5:\nstaff:x:50:\nnonroot:x:65532:\n"
#: Without it Go's resolver asks DNS before /etc/hosts in images that have no nsswitch.conf (golang.org/issue/35305).
_NSSWITCH = "hosts: files dns\n"


def versions() -> Mapping[str, str]:
    """The packages that `static` is made of, and their installed versions."""
    return {name: installed(name) for name in ("certifi", "tzdata")}


def scratch_base(platform: Platform) -> tuple[Base, bytes]:
    """An empty base, and the content of its config."""
    return _base("scratch", platform, {"Env": [_PATH]})


def static_base(platform: Platform, blobs: BlobStore, memo: Memo, *, write: bool = True) -> tuple[Base, bytes] | None:
    """The `static` base and the content of its config: one layer, the same for every platform, compressed once.

    Without `write`, None where that was not done yet.
    """
    compression = Compression("gzip", 9, compressors()["gzip"])
    content = ("static", FORMAT, *(f"{name} {version}" for name, version in sorted(versions().items())))
    if write:
        layer = remembered(content, compression, blobs, memo, lambda: write_layer(_entries(), compression, blobs))
    else:
        found = known(content, compression, blobs, memo)
        if found is None:
            return None
        layer = found
    config = {
        "User": f"{NONROOT}:{NONROOT}",
        "Env": [_PATH, f"SSL_CERT_FILE=/{CERTIFICATES}"],
        "WorkingDir": "/home/nonroot",
    }
    return _base("static", platform, config, (layer.descriptor,), (layer.diff_id,))


def _base(
    name: str,
    platform: Platform,
    config: Mapping[str, object],
    layers: tuple[Descriptor, ...] = (),
    diff_ids: tuple[Digest, ...] = (),
) -> tuple[Base, bytes]:
    content = to_json(
        {
            "architecture": platform.architecture,
            "os": platform.os,
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
            "history": [{"created_by": f"goctl: base {name}"} for _ in layers],
        }
    )
    descriptor = Descriptor(_CONFIG, Digest.of(content), len(content))
    # Without a manifest of its own: what it is, is its config.
    return Base(name, descriptor.digest, descriptor, layers, diff_ids), content


def _entries() -> list[Entry]:
    import certifi

    entries = [
        Entry(name=CERTIFICATES, source=Path(certifi.where()).read_bytes().replace(b"\r\n", b"\n"), mode=_DATA),
        Entry(name="etc/passwd", source=_USERS.encode(), mode=_DATA),
        Entry(name="etc/group", source=_GROUP.encode(), mode=_DATA),
        Entry(name="etc/nsswitch.conf", source=_NSSWITCH.encode(), mode=_DATA),
        *(folder(name) for name in ("home/nonroot", "root", "tmp", "var/tmp")),
    ]
    return entries + _zones()


def _zones() -> list[Entry]:
    """Tzdata's files, without those that make it a Python package."""
    import tzdata

    package = Path(next(iter(tzdata.__path__))) / "zoneinfo"
    entries = [folder("usr/share/zoneinfo")]
    for path in package.rglob("*"):
        if path.is_file() and path.suffix not in (".py", ".pyc"):
            name = f"usr/share/zoneinfo/{path.relative_to(package).as_posix()}"
            entries.append(Entry(name=name, source=path.read_bytes(), mode=_DATA))
    return entries
