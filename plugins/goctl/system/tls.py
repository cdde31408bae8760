"""Whom we believe over TLS, and who we say we are."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    import ssl


class Identity(msgspec.Struct, frozen=True):
    """A certificate to show, and its key, in PEM; the key may be in the certificate's file. `host` is `host[:port]`, the
    only one that gets to see it.
    """

    host: str
    certificate: Path
    key: Path | None = None


class Trust(msgspec.Struct, frozen=True):
    """Files of certificates to trust besides the system's, and an identity for one host."""

    authorities: tuple[Path, ...] = ()
    identity: Identity | None = None


class BadCertificate(Exception):
    """A file that cannot be used. `which` says what for."""

    def __init__(self, which: Literal["certificate", "identity"], text: str) -> None:
        super().__init__(text)
        self.which: Literal["certificate", "identity"] = which


def context(trust: Trust, *, identify: bool) -> ssl.SSLContext:
    """A client's context. Raises BadCertificate."""
    import ssl

    made = ssl.create_default_context()
    paths = ssl.get_default_verify_paths()
    if os.name != "nt" and not (paths.cafile or (paths.capath and any(os.scandir(paths.capath)))):
        # A Python that brings its own OpenSSL (as on macOS) may find no certificates where it looks for them.
        import certifi

        made.load_verify_locations(certifi.where())
    for path in trust.authorities:
        try:
            made.load_verify_locations(path)
        except OSError as error:
            raise BadCertificate("certificate", f"the certificates in {path} cannot be used: {_why(error)}") from None
    if identify and trust.identity is not None:
        _identify(made, trust.identity)
    return made


def _identify(made: ssl.SSLContext, identity: Identity) -> None:
    def passphrase() -> str:
        # OpenSSL would ask on the terminal, and wait for ever where nobody sits.
        raise BadCertificate("identity", f"the key of {identity.certificate} has a passphrase, which goctl does not ask for")

    try:
        made.load_cert_chain(identity.certificate, identity.key, password=passphrase)
    except OSError as error:
        files = " and ".join(str(path) for path in (identity.certificate, identity.key) if path is not None)
        raise BadCertificate("identity", f"{files} cannot be used to say who we are: {_why(error)}") from None


def _why(error: OSError) -> str:
    reason = getattr(error, "reason", None)  # OpenSSL's own word
    return str(reason or error.strerror or error).replace("_", " ").lower()
