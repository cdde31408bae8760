"""Bodies out of files: where nothing has to be encrypted, the kernel copies them to the connection (sendfile).

Imported when the first connection is made: urllib3 takes a while.
"""

from __future__ import annotations

import os
from typing import IO, Any

import msgspec
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from goctl.errors import StorageError

_READ = 256 * 1024


class FilePart(msgspec.Struct, frozen=True):
    """Bytes of an open file. A body may be an iterable of these."""

    file: IO[bytes]
    offset: int
    count: int


class _Plain(HTTPConnection):
    def send(self, data: Any) -> None:
        if not isinstance(data, FilePart):
            super().send(data)
        elif hasattr(os, "sendfile"):
            if self.sock.sendfile(data.file, data.offset, data.count) != data.count:
                raise _shorter()
        else:
            _copy(super().send, data)


class _Encrypted(HTTPSConnection):
    def send(self, data: Any) -> None:
        if isinstance(data, FilePart):
            _copy(super().send, data)
        else:
            super().send(data)


def _copy(send: Any, part: FilePart) -> None:
    part.file.seek(part.offset)
    left = part.count
    while left:
        data = part.file.read(min(left, _READ))
        if not data:
            raise _shorter()
        left -= len(data)
        send(data)


def _shorter() -> StorageError:
    return StorageError("a blob is shorter than it was", hint="run `invoke clean`")


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Plain


class _EncryptedPool(HTTPSConnectionPool):
    ConnectionCls = _Encrypted


#: For PoolManager.pool_classes_by_scheme.
POOLS = {"http": _PlainPool, "https": _EncryptedPool}
