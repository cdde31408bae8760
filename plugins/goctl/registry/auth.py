"""How a registry wants to be shown who asks: Basic, or tokens from the realm it names.

distribution-spec leaves this to RFC 9110 (challenges) and to distribution/distribution, docs/spec/auth/token.md and
oauth.md. A token is renewed when the registry says 401, never by the clock: the clocks of two machines differ.
"""

from __future__ import annotations

import re
import threading
from typing import Final
from urllib.parse import urlencode

import msgspec

from goctl.errors import RegistryError
from goctl.registry.credentials import Credentials, Find
from goctl.registry.refusals import refusal, unreachable
from goctl.system.addresses import is_loopback, leads_inward
from goctl.system.http import Http, Response, split
from goctl.system.transport import TransportError
from goctl.values import from_json

_WORD: Final = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"
_PARAMETER: Final = re.compile(rf'[\s,]*({_WORD})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|({_WORD}))')
_SCHEME: Final = re.compile(rf"[\s,]*({_WORD})(?=[\s,]|$)")

Scopes = tuple[str, ...]


class Challenge(msgspec.Struct, frozen=True):
    """One way to authenticate that a 401 offers; scheme and parameter names in lower case."""

    scheme: str
    parameters: dict[str, str]


def parse_challenges(header: str) -> list[Challenge]:
    """The challenges of a WWW-Authenticate header (RFC 9110, 11.6.1); what cannot be read ends the list."""
    found: list[Challenge] = []
    position = 0
    while position < len(header):
        if found and (match := _PARAMETER.match(header, position)):
            quoted = match[2]
            value = match[3] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
            found[-1].parameters[match[1].lower()] = value
        elif match := _SCHEME.match(header, position):
            found.append(Challenge(match[1].lower(), {}))
        else:
            break
        position = match.end()
    return found


class _Answer(msgspec.Struct, frozen=True):
    token: str = ""
    access_token: str = ""


class Authorizer:
    """Authorization headers for one registry, kept per set of scopes; safe to use from several threads."""

    def __init__(self, http: Http, host: str, find: Find) -> None:
        self._http = http
        self._host = host
        self._find = find
        self._guard = threading.Lock()
        self._renewing: dict[Scopes, threading.Lock] = {}
        self._headers: dict[Scopes, str] = {}
        self._basic = False
        self._secrets: set[str] = set()
        # For who wants to know how it went: the scheme ("" where nobody was asked), whose login, and the token services.
        self.scheme = ""
        self.shown: Credentials | None = None
        self.realms: set[str] = set()

    def header(self, scopes: Scopes) -> str:
        """The value to send with a request for these scopes; empty where none is known yet."""
        known = self._headers.get(scopes, "")
        if known or not self._basic:
            return known
        # It takes passwords, and so it will for other repositories too.
        credentials = self._credentials(scopes)
        return credentials.basic if credentials else ""

    def mask(self, text: str) -> str:
        """A text of the registry's, without the secrets it was sent."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, "***")
        return text

    def _credentials(self, scopes: Scopes, *, anew: bool = False) -> Credentials | None:
        found = self._find(self._host, _repository(scopes), anew=anew)
        if found is not None:
            self._secrets.update(found.forms())
        return found

    def renew(self, response: Response, scopes: Scopes, used: str) -> str:
        """A new value after a 401 to a request that was sent with `used`; empty where there is no other.

        Threads that were refused with the same token share one renewal. Raises RegistryError.
        """
        with self._guard:
            lock = self._renewing.setdefault(scopes, threading.Lock())
        with lock:
            current = self.header(scopes)
            if current != used:
                return current
            challenges = {
                challenge.scheme: challenge
                for challenge in reversed(parse_challenges(response.headers.get("WWW-Authenticate") or ""))
            }
            return self._renewed(challenges, response, scopes, used)

    def _renewed(self, challenges: dict[str, Challenge], response: Response, scopes: Scopes, used: str) -> str:
        """What the known credentials come to; where they are refused, what those come to that are found by now."""
        before: Credentials | None = None
        refused: RegistryError | None = None
        for anew in (False, True):
            credentials = self._credentials(scopes, anew=anew)
            if anew and credentials == before:
                break
            try:
                value = self._value(challenges, credentials, response, scopes, used)
            except RegistryError as error:
                if error.status != 401 or credentials is None:
                    raise
                refused, value = error, ""
            if value:
                self.shown = credentials
                return value
            if credentials is None:
                break
            before = credentials
        if refused is not None:
            raise refused
        return ""

    def _value(
        self,
        challenges: dict[str, Challenge],
        credentials: Credentials | None,
        response: Response,
        scopes: Scopes,
        used: str,
    ) -> str:
        """What these credentials come to; empty where that is what was refused. Refusals of a service raise."""
        if "bearer" in challenges:
            self.scheme = "token"
            value = self._token(challenges["bearer"].parameters, response.url, scopes, credentials)
            self._headers[scopes] = value
        elif "basic" in challenges:
            self.scheme = "basic"
            value = credentials.basic if credentials else ""
            self._basic = True
        else:
            value = ""
        return "" if value == used else value

    def _token(self, parameters: dict[str, str], asked: str, scopes: Scopes, credentials: Credentials | None) -> str:
        if credentials and credentials.registry_token:
            return f"Bearer {credentials.registry_token.reveal()}"
        realm = parameters.get("realm", "")
        self._check_realm(realm, asked, credentials)
        self.realms.add(realm)
        wanted = sorted({*scopes, *filter(None, (parameters.get("scope") or "").split(" "))})
        response = self._ask(realm, parameters.get("service", ""), wanted, credentials)
        if response.status != 200:
            raise refusal("give a token", self._host, response, self.mask)
        try:
            answer = from_json(response.content, _Answer)
        except (msgspec.DecodeError, UnicodeDecodeError):
            answer = _Answer()
        token = answer.token or answer.access_token
        if not token or not token.isprintable():
            raise RegistryError(f"{self._host}: the token service answered without a token", status=response.status)
        self._secrets.add(token)
        return f"Bearer {token}"

    def _ask(self, realm: str, service: str, scopes: list[str], credentials: Credentials | None) -> Response:
        try:
            if credentials and credentials.identity_token:
                form = {
                    "grant_type": "refresh_token",
                    "service": service,
                    "client_id": "goctl",
                    "scope": " ".join(scopes),
                    "refresh_token": credentials.identity_token.reveal(),
                }
                headers = {"Content-Type": "application/x-www-form-urlencoded"}
                # The body is the login itself: it goes to the realm, and to nobody a redirect names.
                return self._http.request("POST", realm, headers=headers, body=urlencode(form).encode(), follow=False)
            query = [("service", service)] if service else []
            query += [("scope", scope) for scope in scopes]
            headers = {"Authorization": credentials.basic} if credentials and credentials.basic else {}
            url = realm + ("&" if "?" in realm else "?") + urlencode(query) if query else realm
            return self._http.request("GET", url, headers=headers)
        except TransportError as error:
            raise unreachable("get a token", self._host, error) from None

    def _check_realm(self, realm: str, asked: str, credentials: Credentials | None) -> None:
        """Refuses a realm that the registry has no business to send us, or our credentials, to."""
        registry = split(asked)
        try:
            place = split(realm)
        except TransportError:
            raise RegistryError(f"{self._host} names no usable address to get a token from") from None
        target, origin = place.hostname or "", registry.hostname or ""
        if leads_inward(origin, target):
            raise RegistryError(f"{self._host} wants a token from {target}, an address that is not public: refused")
        # Over plain http a password goes to this machine, or to a host that already speaks plain http with us by choice.
        allowed = place.scheme == "https" or is_loopback(target) or (registry.scheme == "http" and target == origin)
        if credentials is not None and not allowed:
            raise RegistryError(f"{self._host} wants a login sent to {target} over plain http: refused")


def _repository(scopes: Scopes) -> str:
    """The repository that scopes are about, the first where there are two; empty for none in particular."""
    return scopes[0].split(":")[1] if scopes else ""
