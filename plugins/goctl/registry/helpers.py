"""Programs that keep logins: `docker-credential-NAME`, asked over standard input and output.

The protocol is that of docker/docker-credential-helpers: `get`, `store`, `erase`, `list`. The clouds' own helpers
(ecr-login, gcloud, acr-env...) and those of the systems' key rings all speak it. A secret never is an argument.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from typing import Final, Literal, TypeVar

import msgspec

from goctl.errors import GoctlError, Interrupted, RegistryError, ToolchainError
from goctl.registry.credentials import Credentials, Secret
from goctl.system.process import Completed, run
from goctl.values import from_json

#: Seconds a helper may take: some ask a person whether they may.
TIMEOUT: Final = 30.0
#: What a helper says who has nothing under that key: the one sentence of theirs that is specified.
_NOT_FOUND: Final = "credentials not found"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")
#: The name of a user whose secret is an identity token.
_TOKEN: Final = "<token>"  # noqa: S105 - a marker, not a token

#: Bytes a helper may answer with.
_LONGEST: Final = 2**20

T = TypeVar("T")
Verb = Literal["get", "store", "erase", "list"]


class MissingHelper(RegistryError):
    """There is no such program, or it cannot be started."""


class _Login(msgspec.Struct, frozen=True, rename="pascal"):
    server_url: str = msgspec.field(name="ServerURL", default="")
    username: str = ""
    secret: str = ""


class Helper:
    """One helper, by the name that stands in a config.json. All methods raise RegistryError."""

    def __init__(self, name: str, environment: Mapping[str, str] | None = None) -> None:
        self.program = f"docker-credential-{name}"
        self._name = name
        self._environment = os.environ if environment is None else environment

    def get(self, key: str) -> Credentials | None:
        """What is kept under a key; None where there is nothing."""
        completed = self._run("get", key)
        if completed is None:
            return None
        answer = self._decode(completed, _Login)
        if not answer.secret:
            return None
        if answer.username == _TOKEN:
            return Credentials(identity_token=Secret(answer.secret), source=self.program)
        return Credentials(answer.username, Secret(answer.secret), source=self.program)

    def store(self, key: str, username: str, password: Secret) -> None:
        """Keeps a login under a key, in place of what is there."""
        login = _Login(key, username, password.reveal())
        if self._run("store", msgspec.json.encode(login).decode()) is None:
            raise RegistryError(f"{self.program} does not keep the login")

    def erase(self, key: str) -> None:
        """Forgets what is kept under a key, if there is anything."""
        self._run("erase", key)

    def stored(self) -> dict[str, str]:
        """The keys, and the users' names under each."""
        completed = self._run("list", "")
        return {} if completed is None else self._decode(completed, dict[str, str])

    def _run(self, verb: Verb, input: str) -> Completed | None:
        """What the helper answers; None where it says that there is nothing."""
        completed = self._start(verb, input)
        if completed.code == 0:
            return completed
        # Anything else that it prints is for people, and may hold anything: it is not repeated.
        if _NOT_FOUND in (completed.text + completed.errors).lower():
            return None
        hint = f"try it: echo {input} | {self.program} get" if verb == "get" else f"try it: {self.program} list"
        raise RegistryError(f"{self.program} {verb} ended with {completed.code}", hint=hint)

    def _start(self, verb: Verb, input: str) -> Completed:
        path = shutil.which(self.program, path=self._environment.get("PATH")) if _NAME.match(self._name) else None
        missing = MissingHelper(f"{self.program} was not found or cannot be started", hint="install it, or put it on PATH")
        if path is None:
            raise missing
        try:
            return self._bounded([path, verb], input.encode())
        except (Interrupted, RegistryError):
            raise
        except ToolchainError:
            raise missing from None
        except GoctlError:
            raise RegistryError(f"{self.program} did not answer within {TIMEOUT:g} s") from None

    def _bounded(self, command: list[str], input: bytes) -> Completed:
        answer = bytearray()

        def take(part: bytes) -> None:
            answer.extend(part)
            if len(answer) > _LONGEST:
                raise RegistryError(f"{self.program} answered with more than {_LONGEST} bytes")

        completed = run(command, input=input, env=self._environment, timeout=TIMEOUT, take_stdout=take)
        return msgspec.structs.replace(completed, stdout=bytes(answer))

    def _decode(self, completed: Completed, kind: type[T]) -> T:
        try:
            return from_json(completed.stdout, kind)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise RegistryError(f"{self.program} did not answer with credentials") from None
