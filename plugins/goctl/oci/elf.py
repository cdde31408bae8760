"""What a Linux program needs to be started: its interpreter, as its ELF header has it (man 5 elf, PT_INTERP)."""

from __future__ import annotations

import struct
from pathlib import Path

_INTERPRETER = 3


def interpreter(path: Path) -> str:
    """The dynamic loader that a program asks for (`/lib64/ld-linux-x86-64.so.2`); empty for a static one, and for what is
    no ELF file."""
    with path.open("rb") as file:
        head = file.read(64)
        if len(head) < 52 or head[:4] != b"\x7fELF" or head[4] not in (1, 2) or head[5] not in (1, 2):
            return ""
        wide, order = head[4] == 2, "<" if head[5] == 1 else ">"
        offset = struct.unpack_from(f"{order}Q" if wide else f"{order}I", head, 32 if wide else 28)[0]
        size, count = struct.unpack_from(f"{order}HH", head, 54 if wide else 42)
        for number in range(count):
            if offset + number * size >= 1 << 62:
                return ""
            file.seek(offset + number * size)
            entry = file.read(size)
            if len(entry) < (56 if wide else 32):
                return ""
            if struct.unpack_from(f"{order}I", entry)[0] != _INTERPRETER:
                continue
            where = struct.unpack_from(f"{order}Q" if wide else f"{order}I", entry, 8 if wide else 4)[0]
            length = struct.unpack_from(f"{order}Q" if wide else f"{order}I", entry, 32 if wide else 16)[0]
            if where >= 1 << 62:
                return ""
            file.seek(where)
            return file.read(min(length, 4096)).split(b"\0")[0].decode("utf-8", "replace")
    return ""
