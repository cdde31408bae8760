"""A finding: what is the matter, why it matters, and how to mend it in each shell."""

from __future__ import annotations

import msgspec

#: A release fails, or makes something else than the project says.
PROBLEM = "problem"
#: It works, but slowly, or not as one may think.
REMARK = "remark"


class Lines(msgspec.Struct, frozen=True):
    """The same commands for each shell, a line each; no lines where words are all there is to say."""

    powershell: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    posix: tuple[str, ...] = ()

    def of(self, shell: str) -> tuple[str, ...]:
        """The lines for `powershell`, `cmd` or `posix`."""
        return {"powershell": self.powershell, "cmd": self.cmd}.get(shell, self.posix)

    def __add__(self, other: Lines) -> Lines:
        return Lines(self.powershell + other.powershell, self.cmd + other.cmd, self.posix + other.posix)


class Finding(msgspec.Struct, frozen=True, rename="kebab"):
    """One thing to know. `name` never changes; `mend` says in words what to do, `lines` does it."""

    name: str
    severity: str
    matter: str
    why: str
    mend: str
    lines: Lines = Lines()

    def text(self, shell: str) -> str:
        """The finding for a person who works in that shell."""
        told = [f"{self.severity}: {self.matter}", f"  why: {self.why}", f"  mend: {self.mend}"]
        return "\n".join(told + [f"    {line}" for line in self.lines.of(shell)])


class Answer(msgspec.Struct, frozen=True):
    """All findings, as `--json` tells them. `shell` is the one in use, as far as can be told."""

    shell: str
    findings: tuple[Finding, ...]
