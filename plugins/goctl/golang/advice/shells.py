"""Lines for PowerShell, cmd and POSIX shells, with what each of them wants quoted."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping

from goctl.golang.advice.finding import Lines

POWERSHELL, CMD, POSIX = "powershell", "cmd", "posix"


def shell_of(system: str, environment: Mapping[str, str]) -> str:
    """The shell in use, as far as can be told: PowerShell puts the user's folder into PSModulePath, cmd sets PROMPT."""
    if environment.get("MSYSTEM") or (system == "windows" and environment.get("SHELL")):
        return POSIX  # Git Bash, MSYS2, Cygwin
    modules = environment.get("PSModulePath") or environment.get("PSMODULEPATH", "")
    if system != "windows":
        return POWERSHELL if modules else POSIX
    home = environment.get("USERPROFILE", "")
    if modules and home and home.lower() in modules.lower():
        return POWERSHELL
    return CMD if environment.get("PROMPT") or not modules else POWERSHELL


def command(*words: str) -> Lines:
    """A command with its arguments."""
    first = _powershell(words[0])
    call = f"& {first}" if first.startswith("'") else first
    return Lines(
        (" ".join((call, *map(_powershell, words[1:]))),),
        (" ".join(map(_cmd, words)),),
        (" ".join(map(shlex.quote, words)),),
    )


def set_variable(name: str, value: str, system: str) -> Lines:
    """Sets a variable for the shell in use, and on Windows for those to come."""
    quoted = "'" + value.replace("'", "''") + "'"
    powershell, cmd = f"$env:{name} = {quoted}", f'set "{name}={value}"'
    if system == "windows":
        powershell += f"; [Environment]::SetEnvironmentVariable('{name}', {quoted}, 'User')"
        cmd += f" && setx {name} {_cmd(value)}"
    return Lines((powershell,), (cmd,), (f"export {name}={shlex.quote(value)}",))


def unset_variable(name: str, system: str) -> Lines:
    """Takes a variable from the shell in use, and on Windows from those to come."""
    powershell, cmd = f"Remove-Item Env:{name}", f'set "{name}="'
    if system == "windows":
        powershell += f"; [Environment]::SetEnvironmentVariable('{name}', $null, 'User')"
        cmd += rf" & reg delete HKCU\Environment /v {name} /f"
    return Lines((powershell,), (cmd,), (f"unset {name}",))


def _powershell(word: str) -> str:
    """A comma makes a list, and a leading @, $ or - with a dot means something else there: quoted in single quotes."""
    return word if re.fullmatch(r"[\w/\\:+-]+(?:\.[\w/\\:+-]+)*", word) else "'" + word.replace("'", "''") + "'"


def _cmd(word: str) -> str:
    return word if re.fullmatch(r"[\w./\\:+-]+", word) else '"' + word.replace('"', r"\"") + '"'
