"""What Go builds for: the pairs of GOOS and GOARCH, and each architecture's variants, as words.

`values.Platform` gives them OCI's spelling, `plan.goenv` Go's. A pair that is not in this table is not wrong for that: a
newer toolchain may have it, and is asked (`golang.pairs`) before anything is planned for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

#: `go tool dist list` of Go 1.26; tests compare it with the toolchain that is installed.
PAIRS: Final = frozenset(
    """
    aix/ppc64 android/386 android/amd64 android/arm android/arm64 darwin/amd64 darwin/arm64 dragonfly/amd64 freebsd/386
    freebsd/amd64 freebsd/arm freebsd/arm64 illumos/amd64 ios/amd64 ios/arm64 js/wasm linux/386 linux/amd64 linux/arm
    linux/arm64 linux/loong64 linux/mips linux/mips64 linux/mips64le linux/mipsle linux/ppc64 linux/ppc64le linux/riscv64
    linux/s390x netbsd/386 netbsd/amd64 netbsd/arm netbsd/arm64 openbsd/386 openbsd/amd64 openbsd/arm openbsd/arm64
    openbsd/ppc64 openbsd/riscv64 plan9/386 plan9/amd64 plan9/arm solaris/amd64 wasip1/wasm windows/386 windows/amd64
    windows/arm64
    """.split()
)
OPERATING_SYSTEMS: Final = frozenset(pair.partition("/")[0] for pair in PAIRS)
ARCHITECTURES: Final = frozenset(pair.partition("/")[2] for pair in PAIRS)

#: Levels of an architecture, each of which runs what the ones before it run; the first is what a bare name means, but for
#: arm, where it is the last (as in containerd's platforms.Normalize). OCI's image-index.md lists those of arm and arm64;
#: for the others it takes what an implementation gives them, here Go's own words.
VARIANTS: Final[dict[str, tuple[str, ...]]] = {
    "amd64": ("v1", "v2", "v3", "v4"),
    "arm": ("v5", "v6", "v7"),
    "arm64": tuple("v8 v8.1 v8.2 v8.3 v8.4 v8.5 v8.6 v8.7 v8.8 v8.9 v9 v9.1 v9.2 v9.3 v9.4 v9.5".split()),
    "ppc64": ("power8", "power9", "power10"),
    "ppc64le": ("power8", "power9", "power10"),
    "riscv64": ("rva20u64", "rva22u64", "rva23u64"),
}
#: Choices besides the level, for which OCI has no spelling (internal/buildcfg/cfg.go).
FEATURES: Final[dict[str, tuple[str, ...]]] = {
    "386": ("sse2", "softfloat"),
    "arm": ("softfloat", "hardfloat"),
    "arm64": ("lse", "crypto"),
    "mips": ("hardfloat", "softfloat"),
    "mipsle": ("hardfloat", "softfloat"),
    "mips64": ("hardfloat", "softfloat"),
    "mips64le": ("hardfloat", "softfloat"),
    "wasm": ("satconv", "signext"),
}
#: Features of which a platform has one; the others can be had together.
_ONE_OF: Final = frozenset({"sse2", "softfloat", "hardfloat"})
#: What others call these systems and machines (containerd's platforms.normalizeOS and normalizeArch).
ALIASES: Final = {
    "macos": "darwin",
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
#: What people write who mean these: nothing to be read as them, but to be told of.
_MEANT: Final = {
    "osx": "darwin",
    "mac": "darwin",
    "win": "windows",
    "win32": "windows",
    "win64": "windows",
    "wasi": "wasip1",
    "x64": "amd64",
    "x86": "386",
    "i686": "386",
    "ppc64el": "ppc64le",
    "wasm32": "wasm",
}


def lower(architecture: str, variant: str) -> list[str]:
    """The variants that a machine of this one runs, best first. v9 of arm64 came out of v8.5, and so on upwards."""
    known = VARIANTS.get(architecture, ())
    if variant not in known:
        return [variant]
    if architecture == "arm64" and variant.startswith("v9"):
        minor = int(variant.partition(".")[2] or 0)
        below = [name for name in known if name.startswith("v8") and int(name.partition(".")[2] or 0) <= minor + 5]
        above = [name for name in known if name.startswith("v9") and int(name.partition(".")[2] or 0) <= minor]
        return (below + above)[::-1]
    return list(known[known.index(variant) :: -1])


def choice(architecture: str, words: list[str]) -> tuple[str, tuple[str, ...]]:
    """Variant and features from the words after an architecture, without those that go without saying.

    Raises ValueError that says what there is.
    """
    known, features = VARIANTS.get(architecture, ()), FEATURES.get(architecture, ())
    variant = next((word for word in words[:1] if word in known), "")
    rest = words[1:] if variant else words
    for word in rest:
        if word not in features or rest.count(word) > 1:
            what = f"{word!r} twice" if word in features else f"no variant {word!r}"
            raise ValueError(f"{architecture} has {what}; it has {_listed(known, features)}")
    if len(_ONE_OF.intersection(rest)) > 1:
        raise ValueError(f"{' and '.join(rest)} exclude each other")
    if architecture == "arm":
        variant = variant or known[-1]
        usual = {"softfloat" if variant == "v5" else "hardfloat"}
    elif architecture == "arm64":
        # The large system extensions are part of v8.1 and all that follow.
        usual = {"lse"} if variant not in ("", "v8") else set()
    else:
        usual = {features[0]} if features and features[0] in _ONE_OF else set()
    if architecture != "arm" and variant in known[:1]:
        variant = ""
    return variant, tuple(word for word in features if word in rest and word not in usual)


def _listed(known: tuple[str, ...], features: tuple[str, ...]) -> str:
    if not known:
        return ", ".join(features) or "none"
    return ", ".join(known) + (f", each alone or with +{', +'.join(features)}" if features else "")


def nearest(pair: str, pairs: Iterable[str] = PAIRS) -> str:
    """The pair that was probably meant; empty where none is near."""
    import difflib

    known = sorted(pairs)
    system, _, architecture = pair.partition("/")
    words = (_MEANT.get(system, system), _MEANT.get(architecture, architecture))
    for meant in ("/".join(words), "/".join(reversed(words))):
        if meant in known:
            return meant
    close = difflib.get_close_matches("/".join(words), known, n=1, cutoff=0.6)
    return close[0] if close else ""


def slip(system: str, architecture: str) -> str:
    """The pair that was meant where one of two words can only be a slip of the fingers; else empty.

    A pair that merely is unknown may be one of a newer Go (`wasip2`, `riscv32`), which is to be asked then.
    """
    if system in ARCHITECTURES and architecture in OPERATING_SYSTEMS:
        return f"{architecture}/{system}"
    slipped = any(
        word in _MEANT or any(_slipped(word, one) for one in known)
        for word, known in ((system, OPERATING_SYSTEMS), (architecture, ARCHITECTURES))
        if word not in known
    )
    return nearest(f"{system}/{architecture}") if slipped else ""


def _slipped(word: str, known: str) -> bool:
    """Whether two letters changed places, or one is missing, too many, or another. Another digit is another name."""
    if sorted(word) == sorted(known):
        return sum(a != b for a, b in zip(word, known, strict=True)) == 2
    if len(word) == len(known):
        differing = [(a, b) for a, b in zip(word, known, strict=True) if a != b]
        return len(differing) == 1 and not (differing[0][0].isdigit() and differing[0][1].isdigit())
    longer, shorter = (word, known) if len(word) > len(known) else (known, word)
    return any(longer[:at] + longer[at + 1 :] == shorter and not longer[at].isdigit() for at in range(len(longer)))
