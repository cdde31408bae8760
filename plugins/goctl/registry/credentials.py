"""Who we are to a registry: secrets that show themselves to nobody, and the shapes a login comes in."""

from __future__ import annotations

import base64
from typing import Final, Protocol
from urllib.parse import quote, quote_plus

import msgspec


class Secret:
    """A text that shows itself to nobody who does not ask for it by name."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__


_EMPTY: Final = Secret("")


class Credentials(msgspec.Struct, frozen=True):
    """A user name and password, or an identity token (exchanged for others), or a registry token (sent as it is).

    `source` says where they were found, in words.
    """

    username: str = ""
    password: Secret = _EMPTY
    identity_token: Secret = _EMPTY
    registry_token: Secret = _EMPTY
    source: str = ""

    def __bool__(self) -> bool:
        return bool(self.password or self.identity_token or self.registry_token)

    @property
    def basic(self) -> str:
        """The value of an Authorization header, for Basic authentication; empty without a password."""
        if not self.password:
            return ""
        pair = f"{self.username}:{self.password.reveal()}".encode()
        return "Basic " + base64.b64encode(pair).decode("ascii")

    def forms(self) -> list[str]:
        """Every spelling a secret of these may turn up in when somebody repeats it: plain, base64, quoted for a URL."""
        found = [self.basic.removeprefix("Basic ")] if self.basic else []
        for secret in (self.password, self.identity_token, self.registry_token):
            if secret:
                plain = secret.reveal()
                encoded = base64.b64encode(plain.encode()).decode("ascii")
                found += [plain, encoded, encoded.rstrip("="), quote(plain), quote(plain, safe=""), quote_plus(plain)]
        return found


class Find(Protocol):
    """Looks credentials up for a repository of a host; None where there are none. Raises RegistryError.

    With `anew` what was found before is not good any more: those who keep it ask where it came from.
    """

    def __call__(self, host: str, repository: str = "", *, anew: bool = False) -> Credentials | None: ...
