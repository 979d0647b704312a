"""Stands before every route and socket: whose page asks, by which name, and with what right.

A page of another site, or of another program on this machine, can make a browser send requests here. So the name that was asked
for has to be ours (or a name that somebody else controls would lead here), an Origin has to be ours, and every answer that
holds something of the store needs the token or its cookie. Exporters of telemetry send no token: on this machine they need
none, but a browser is not one of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tac_orchestrator.server.access import Access
from tac_orchestrator.server.problems import problem

INGEST = "/v1/"
_OPEN = frozenset(("/api/health", "/api/login"))
_READING = frozenset(("GET", "HEAD"))
_OURS = frozenset(("same-origin", "none"))

CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; "
    "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
    "trusted-types vue dompurify"
)

_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where the server can be reached: `hosts` are values of the Host header, `origins` those of the page itself."""

    hosts: frozenset[str]
    origins: frozenset[str]
    cookie_name: str
    is_local: bool
    is_read_only: bool = False


@dataclass(frozen=True, slots=True)
class _Refusal:
    status: HTTPStatus
    detail: str
    hint: str | None = None


class Guard:
    """An ASGI application around the server's own."""

    def __init__(self, app: ASGIApp, access: Access, place: Place) -> None:
        self._app = app
        self._access = access
        self._place = place

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, _with_headers(send))
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": refusal.detail})
        else:
            answer = problem(refusal.status, refusal.detail, hint=refusal.hint)
            await answer(scope, receive, _with_headers(send))

    def _refusal(self, scope: Scope) -> _Refusal | None:
        headers = Headers(scope=scope)
        if headers.get("host", "").lower() not in self._place.hosts:
            return _Refusal(HTTPStatus.BAD_REQUEST, "This server is not known by that name.", _HOST_HINT)
        if self._is_foreign(scope, headers):
            return _Refusal(HTTPStatus.FORBIDDEN, "A page of another origin may not ask this server.")
        if not self._may(scope, headers):
            return _Refusal(HTTPStatus.UNAUTHORIZED, "This needs the token of this server.", _TOKEN_HINT)
        if (
            self._place.is_read_only
            and scope["type"] == "http"
            and scope["method"] not in _READING
            and scope["path"] not in _OPEN
        ):
            return _Refusal(HTTPStatus.FORBIDDEN, "This server only reads.", "Start it without --read-only.")
        return None

    def _is_foreign(self, scope: Scope, headers: Headers) -> bool:
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        if scope["path"].startswith(INGEST):
            return origin is not None or site is not None
        if origin is not None and origin not in self._place.origins:
            return True
        if site is None or site in _OURS:
            return False
        return not _is_visit(scope, headers)

    def _may(self, scope: Scope, headers: Headers) -> bool:
        path = scope["path"]
        if path.startswith(INGEST):
            return self._place.is_local or self._has_token(headers)
        if not path.startswith(("/api/", "/metrics")) or path in _OPEN:
            return True
        return self._has_token(headers) or self._has_cookie(headers)

    def _has_token(self, headers: Headers) -> bool:
        kind, _, token = headers.get("authorization", "").partition(" ")
        return kind.lower() == "bearer" and self._access.is_token(token.strip())

    def _has_cookie(self, headers: Headers) -> bool:
        try:
            found = SimpleCookie(headers.get("cookie", "")).get(self._place.cookie_name)
        except CookieError:
            return False
        return found is not None and self._access.is_cookie(found.value)


def _is_visit(scope: Scope, headers: Headers) -> bool:
    """Somebody follows a link to the page. What is not the page itself still needs a cookie, which is not sent then."""
    is_reading = scope["type"] == "http" and scope["method"] in _READING
    return is_reading and headers.get("sec-fetch-mode") == "navigate" and not scope["path"].startswith("/api/")


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sending


_HOST_HINT = "Use http://127.0.0.1 and the port, or start the server with --allow-host NAME."
_TOKEN_HINT = "`tac-orch serve` prints a link that lets a browser in; a program sends `Authorization: Bearer TOKEN`."  # noqa: S105
