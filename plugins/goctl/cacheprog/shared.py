"""contracts.CacheLevel in a folder that machines share: a file for each entry, whole or not there."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from pathlib import Path

from goctl.errors import StorageError
from goctl.system.files import replace, storage_errors


class SharedFolder:
    """Entries below `folder/SPACE/KE/KEY`. Who reads them verifies what is in them."""

    def __init__(self, folder: Path) -> None:
        self.name = f"file:{folder}"
        self._folder = folder

    def fetch(self, space: str, key: str, into: Path) -> bool:
        try:
            shutil.copyfile(self._path(space, key), into)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise StorageError(f"cannot read from {self._folder}: {error.strerror or error}") from error
        return True

    def store(self, space: str, key: str, source: Path) -> None:
        path = self._path(space, key)
        new = path.with_name(f".{key}.{secrets.token_hex(4)}")
        with storage_errors(str(self._folder)):
            # The folder itself is a mount that may be absent: it is not made in its place.
            for folder in (path.parent.parent, path.parent):
                folder.mkdir(exist_ok=True)
            try:
                with open(source, "rb") as file, open(new, "xb") as made:
                    shutil.copyfileobj(file, made, 1 << 20)
                    made.flush()
                    # Others read it who know nothing of this machine's power.
                    os.fsync(made.fileno())
                replace(new, path)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(new)
                raise

    def forget(self, space: str, key: str) -> None:
        with contextlib.suppress(OSError):
            self._path(space, key).unlink()

    def _path(self, space: str, key: str) -> Path:
        return self._folder / space / key[-2:] / key
