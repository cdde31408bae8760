"""Layers as Windows has them: files below Files/, parts of the registry below Hives/, and in pax records what Windows keeps
of a file besides its content.

Sources: image-spec, layer.md ("Platform-specific attributes"); go-winio's backuptar, by which Windows unpacks layers;
BuildKit's util/winlayers, whose records these are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import msgspec

from goctl.errors import ImageError
from goctl.oci.tar import FOLDER_MODE, Entry, with_parents

FILES, HIVES = "Files", "Hives"
_ATTRIBUTES, _RIGHTS = "MSWINDOWS.fileattr", "MSWINDOWS.rawsd"
#: FILE_ATTRIBUTE_DIRECTORY and FILE_ATTRIBUTE_ARCHIVE.
_FOLDER, _FILE = "16", "32"
#: Security descriptors, in binary and base64. Without one, a file has whatever rights it gets where it is unpacked, and a
#: container's user can neither start nor list it.
#: O:BAG:SYD:(A;;FA;;;BA)(A;;FA;;;SY)(A;;0x1200a9;;;BU): administrators and the system do anything, users read and start.
_FILE_RIGHTS = (
    "AQAEgBQAAAAkAAAAAAAAADAAAAABAgAAAAAABSAAAAAgAgAAAQEAAAAAAAUSAAAAAgBMAAMAAAAAABgA/wEfAAECAAAAAAAFIAAAACACAAAAABQA/wEf"
    "AAEBAAAAAAAFEgAAAAAAGACpABIAAQIAAAAAAAUgAAAAIQIAAA=="
)
#: O:BAG:SYD:(A;OICI;FA;;;BA)(A;OICI;FA;;;SY)(A;;FA;;;BA)(A;OICIIO;GA;;;CO)(A;OICI;0x1200a9;;;BU)(A;CI;LC;;;BU)
#: (A;CI;DC;;;BU): as C:\ itself has it, where users may also make files and folders of their own.
_FOLDER_RIGHTS = (
    "AQAEgBQAAAAkAAAAAAAAADAAAAABAgAAAAAABSAAAAAgAgAAAQEAAAAAAAUSAAAAAgCoAAcAAAAAAxgA/wEfAAECAAAAAAAFIAAAACACAAAAAxQA/wEf"
    "AAEBAAAAAAAFEgAAAAAAGAD/AR8AAQIAAAAAAAUgAAAAIAIAAAALFAAAAAAQAQEAAAAAAAMAAAAAAAMYAKkAEgABAgAAAAAABSAAAAAhAgAAAAIYAAQA"
    "AAABAgAAAAAABSAAAAAhAgAAAAIYAAIAAAABAgAAAAAABSAAAAAhAgAA"
)
#: Folders that every base has, with rights of their own: an entry says no more of them than their names.
_OF_BASES = re.compile(r"(?:windows(?:/.*)?|program files(?: \(x86\))?|programdata|users)\Z", re.IGNORECASE)
#: What no file of Windows can be called (learn.microsoft.com, "Naming Files, Paths, and Namespaces").
_NO_NAME = re.compile(r'.*[<>:"\\|?*\x00-\x1f]|.*[. ]\Z|(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|\Z)', re.IGNORECASE)


def windows_entries(entries: Iterable[Entry]) -> list[Entry]:
    """Entries of a layer and the folders above them, put below Files/.

    Raises ImageError for a name that Windows does not allow.
    """
    return [
        *(Entry(name=name, mode=FOLDER_MODE, records=((_ATTRIBUTES, _FOLDER),)) for name in (HIVES, FILES)),
        *(_placed(entry) for entry in with_parents(entries)),
    ]


def _placed(entry: Entry) -> Entry:
    _check_name(entry.name)
    name = f"{FILES}/{entry.name}"
    if entry.source is not None:
        return msgspec.structs.replace(entry, name=name, records=((_ATTRIBUTES, _FILE), (_RIGHTS, _FILE_RIGHTS)))
    rights = () if _OF_BASES.match(entry.name) else ((_RIGHTS, _FOLDER_RIGHTS),)
    return Entry(name=name, mode=FOLDER_MODE, records=((_ATTRIBUTES, _FOLDER), *rights))


def _check_name(path: str) -> None:
    for part in path.split("/"):
        if _NO_NAME.match(part):
            raise ImageError(f"/{path} cannot be in an image for Windows: {part!r} is no name there", hint="rename it")


def folded(places: Iterable[tuple[str, bool, str]]) -> Iterator[tuple[str, bool, str]]:
    """Places in an image with names as Windows compares them: /App and /app are one."""
    return ((path.lower(), is_folder, what) for path, is_folder, what in places)
