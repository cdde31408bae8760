"""Why no answer came: what urllib3, the system and OpenSSL raise, in a word to act on and one to show."""

from __future__ import annotations

import re
from typing import Literal

Reason = Literal[
    "refused",
    "name",
    "certificate",
    "identity",
    "tls",
    "timeout",
    "reset",
    "proxy",
    "redirect",
    "patience",
    "size",
    "other",
]


class TransportError(Exception):
    """No answer came, or none that may be used. `temporary` says whether trying again later may help.

    The text names no URL: a URL's query may hold a secret.
    """

    def __init__(self, reason: Reason, text: str, *, temporary: bool = False) -> None:
        super().__init__(text)
        self.reason: Reason = reason
        self.temporary = temporary


def explained(error: Exception) -> TransportError:
    """What went wrong. urllib3's own texts name objects, and are not used."""
    import ssl

    from urllib3 import exceptions as known

    if isinstance(error, known.ProxyError):
        return TransportError("proxy", f"the proxy did not answer as one: {_cause(error)}", temporary=True)
    if isinstance(error, known.NameResolutionError):
        return TransportError("name", "the name cannot be resolved", temporary=True)
    if isinstance(error, known.NewConnectionError):  # to urllib3 a kind of timeout, so asked about first
        return TransportError("refused", _cause(error), temporary=True)
    if isinstance(error, known.ConnectTimeoutError | known.ReadTimeoutError | TimeoutError):
        return TransportError("timeout", "no answer in time", temporary=True)
    if isinstance(error, known.SSLError | ssl.SSLError):
        text = _cause(error)
        if re.search(r"ALERT_(.*CERTIFICATE|UNKNOWN_CA)|CERTIFICATE_REQUIRED", text):  # an alert is the other side's word
            return TransportError("identity", "it wants to see a client's certificate, or does not know ours")
        if "ALERT_HANDSHAKE_FAILURE" in text:  # TLS 1.2 has no alert of its own for it
            return TransportError("identity", "it refused the handshake; it may want to see a client's certificate")
        return TransportError("certificate" if "CERTIFICATE" in text.upper() else "tls", text)
    if isinstance(error, known.ProtocolError | known.IncompleteRead | OSError):
        return TransportError("reset", "the connection broke", temporary=True)
    return TransportError("other", type(error).__name__)


def _cause(error: BaseException) -> str:
    """The words of the system, or of OpenSSL, at the bottom of an error."""
    while (below := error.__cause__ or error.__context__) is not None:
        error = below
    if not isinstance(error, OSError):
        for part in error.args:
            if isinstance(part, OSError):
                error = part
    return str(getattr(error, "strerror", None) or getattr(error, "verify_message", None) or type(error).__name__)
