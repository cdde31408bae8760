"""Builds that ask for packages in a builder's GOCACHE, the cache mount that programs are compiled in, lay them there, and
fetch them.

The context of either is a folder; the shell and the tools are those of the image that compiles, Debian's or busybox's.
"""

from __future__ import annotations

from collections.abc import Sequence

from goctl.buildkit.dockerfile import GO_CACHE, GO_CACHE_MOUNT, run_text

#: In the context of what asks for packages, and in the result of what asks whether they are there: the first bytes of their
#: actions' ids, in hex digits, one a line.
WANTED, LACKING = "wanted", "lacking"
#: For each wanted action that is there with its output: the names of both files, in `one` and `output`.
_EACH = (
    'while read -r id; do found=; for one in "${id%"${id#??}"}/$id"*-a; do',
    '[ -f "$one" ] && read -r version action output rest < "$one" && output="${output%"${output#??}"}/$output-d" &&',
)


def giving_text(image: str, once: str) -> str:
    """Lays the files of the context, which is a GOCACHE, into the builder's own.

    Each comes to its place by a rename, for other builds may be at work there; what was left of one that was killed is
    removed when nobody can be at it any more. `once` is what no build before had: a step that was done with the same context
    would not be done again. (With --no-cache it would, and BuildKit would empty the cache mount first.)
    """
    commands = [
        f"cd {GO_CACHE} && find . -maxdepth 1 -name 'goctl.*' -mmin +60 -exec rm -rf {{}} + ;",
        'new=$(mktemp -d ./goctl.XXXXXX) && trap \'rm -rf "$new"\' EXIT && cp -r /packages/. "$new" &&',
        'for one in "$new"/??; do mkdir -p "${one##*/}" && mv -f "$one"/* "${one##*/}/" || exit; done;',
        f": {once}",
    ]
    return f"FROM {image} AS goctl-packages\n{run_text([GO_CACHE_MOUNT, '--mount=type=bind,target=/packages'], commands)}\n"


def asking_text(image: str, once: str) -> str:
    """Its result is a file of those wanted actions that the builder's GOCACHE lacks. `once` as above."""
    found = '[ -f "$output" ] && found=1; done; [ "$found" ] || echo "$id"; done'
    return _result(image, [*_EACH, f"{found} < /wanted/{WANTED} > /packages/{LACKING}; : {once}"])


def taking_text(image: str, once: str) -> str:
    """Its result: files of those wanted actions that the builder's GOCACHE has, and of their outputs. `once` as above."""
    found = '[ -f "$output" ] && echo "$one" && echo "$output"; done; done'
    commands = [
        f"{found} < /wanted/{WANTED} > /tmp/found;",
        f"tar -cf - -T /tmp/found | tar -xf - -C /packages && : {once}",
    ]
    return _result(image, [*_EACH, *commands])


def _result(image: str, commands: Sequence[str]) -> str:
    """Commands in a GOCACHE, and of what they do the files in /packages."""
    mounts = [GO_CACHE_MOUNT, "--mount=type=bind,target=/wanted"]
    run = run_text(mounts, [f"mkdir /packages && cd {GO_CACHE} &&", *commands])
    return f"FROM {image} AS goctl-packages\n{run}\nFROM scratch\nCOPY --from=goctl-packages /packages/ /\n"
