"""The page, whatever its path is called: a link into it is answered with the page, which finds its place by itself.

Its files are read once, so that a page that is being looked at stays whole while a new one is built. What is asked for is
looked up among their names, and never joined to the name of a folder.
"""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from pathlib import Path

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

FOLDER = Path(__file__).parent / "static"

_INDEX = "index.html"
_ASSETS = "assets/"
_NOT_THE_PAGE = ("api", "v1", "metrics")
_WORTH_PACKING = 1000
_PACKED = frozenset(("text/html", "text/css", "text/javascript", "image/svg+xml", "application/manifest+json"))

# What the machine's own tables say of these differs.
_TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}

_NOT_BUILT = b"""<!doctype html>
<html lang="en"><title>TAC Orchestrator</title>
<h1>The page is not built</h1>
<p>The API answers all the same. <code>scripts/dashboard</code>, in the project's folder, builds the page.
Restart the server then.</p>
</html>
"""


@dataclass(frozen=True)
class File:
    """One file of the page."""

    name: str
    body: bytes

    @property
    def media_type(self) -> str:
        suffix = Path(self.name).suffix
        return _TYPES.get(suffix) or mimetypes.types_map.get(suffix, "application/octet-stream")

    @cached_property
    def tag(self) -> str:
        return f'"{hashlib.sha256(self.body).hexdigest()[:20]}"'

    @cached_property
    def packed(self) -> bytes | None:
        """As gzip, where that is worth it."""
        if self.media_type not in _PACKED or len(self.body) < _WORTH_PACKING:
            return None
        return gzip.compress(self.body, mtime=0)

    @property
    def caching(self) -> str:
        """Names in `assets` hold a hash of the content: another content has another name."""
        return "public, max-age=31536000, immutable" if self.name.startswith(_ASSETS) else "no-cache"


def page_files(folder: Path = FOLDER) -> dict[str, File]:
    """By their names in the folder, `assets/index-1a2b.js`; empty if the page has not been built."""
    if not (folder / _INDEX).is_file():
        return {}
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    return {name: File(name, (folder / name).read_bytes()) for name in names if Path(name).suffix}


class Page:
    """Answers what no route does. What is no business of the page goes to `otherwise`."""

    def __init__(self, otherwise: ASGIApp, files: Mapping[str, File]) -> None:
        self._otherwise = otherwise
        self._files = files

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = scope["path"].lstrip("/")
        file = self._files.get(name) or self._files.get(_INDEX)
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD") or self._is_other(name):
            await self._otherwise(scope, receive, send)
        elif file is None:
            await Response(_NOT_BUILT, HTTPStatus.SERVICE_UNAVAILABLE, media_type="text/html")(scope, receive, send)
        else:
            await _answer(file, Request(scope).headers)(scope, receive, send)

    def _is_other(self, name: str) -> bool:
        """An asset that is not there is an error, not another link into the page."""
        return name.partition("/")[0] in _NOT_THE_PAGE or (name.startswith(_ASSETS) and name not in self._files)


def _answer(file: File, asked: Headers) -> Response:
    headers = {"Cache-Control": file.caching, "ETag": file.tag, "Vary": "Accept-Encoding"}
    if file.tag in asked.get("if-none-match", ""):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    packed = file.packed if "gzip" in asked.get("accept-encoding", "") else None
    if packed is not None:
        headers["Content-Encoding"] = "gzip"
    return Response(file.body if packed is None else packed, headers=headers, media_type=file.media_type)
