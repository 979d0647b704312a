"""Who may ask. A token that only the owner of this machine's account can read, and what is derived from it.

A program sends the token itself. A browser gets a link that is good once and for a few minutes, and a cookie for it. Both are
made from the token, so that a new token makes all of them worthless, and none of them has to be stored.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
import time
from collections.abc import Mapping
from pathlib import Path

from tac_orchestrator.errors import InvalidSetting

TOKEN_VARIABLE = "TAC_ORCHESTRATOR_TOKEN"  # noqa: S105

_SHORTEST = 16
_LINK_S = 600
_NONCE_BYTES = 12
_TIME_BYTES = 6
_SIGNATURE_BYTES = 16


class Access:
    """What opens this server."""

    def __init__(self, token: str) -> None:
        self._token = token.encode()
        self._used: dict[bytes, float] = {}

    def is_token(self, text: str) -> bool:
        return hmac.compare_digest(text.encode("utf-8", "replace"), self._token)

    @property
    def cookie(self) -> str:
        """What a browser sends that has been let in."""
        return _encoded(self._signed(b"cookie"))

    def is_cookie(self, text: str) -> bool:
        return hmac.compare_digest(text.encode("utf-8", "replace"), self.cookie.encode())

    def new_code(self) -> str:
        """The code of a link. Whoever knows the token can make one; the server need not be asked."""
        body = int(time.time() + _LINK_S).to_bytes(_TIME_BYTES, "big") + secrets.token_bytes(_NONCE_BYTES)
        return _encoded(body + self._signed(body))

    def redeem(self, code: str) -> bool:
        """Whether this code is good. It is not a second time."""
        body, signature = _split(code)
        now = time.time()
        self._used = {used: until for used, until in self._used.items() if until > now}
        until = int.from_bytes(body[:_TIME_BYTES], "big")
        if body in self._used or until <= now or not hmac.compare_digest(signature, self._signed(body)):
            return False
        self._used[body] = until
        return True

    def _signed(self, body: bytes) -> bytes:
        return hmac.digest(self._token, b"tac-orchestrator " + body, hashlib.sha256)[:_SIGNATURE_BYTES]


def token_file(environment: Mapping[str, str] | None = None) -> Path:
    """Where this account keeps its token."""
    values = os.environ if environment is None else environment
    state = values.get("XDG_STATE_HOME") or str(Path(values.get("HOME") or Path.home()) / ".local" / "state")
    return Path(state) / "tac-orchestrator" / "token"


def kept_token(environment: Mapping[str, str] | None = None, *, renew: bool = False) -> str:
    """The token that the environment gives, or that is kept in a file, which is made the first time. Raises InvalidSetting."""
    values = os.environ if environment is None else environment
    given = values.get(TOKEN_VARIABLE)
    if given:
        if len(given) < _SHORTEST or not given.isascii() or not given.isprintable():
            raise InvalidSetting(TOKEN_VARIABLE, "…", f"at least {_SHORTEST} printable ASCII characters")
        return given
    return _from_file(token_file(values), renew=renew)


def _from_file(path: Path, *, renew: bool) -> str:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if renew:
        path.unlink(missing_ok=True)
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        return _read(path)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        token = secrets.token_urlsafe(32)
        file.write(token)
    return token


def _read(path: Path) -> str:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    with os.fdopen(descriptor, encoding="ascii", errors="replace") as file:
        mode, token = os.fstat(descriptor).st_mode, file.read().strip()
    if mode & 0o077:
        raise InvalidSetting(str(path), f"readable by others (mode {mode & 0o777:o})", f"mode 600: chmod 600 {path}")
    if len(token) < _SHORTEST:
        raise InvalidSetting(str(path), "…", "a token; remove the file to have a new one made")
    return token


def _encoded(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def _split(code: str) -> tuple[bytes, bytes]:
    try:
        raw = base64.urlsafe_b64decode(code + "=" * (-len(code) % 4))
    except ValueError:
        raw = b""
    return raw[:-_SIGNATURE_BYTES], raw[-_SIGNATURE_BYTES:]
