"""Follows folders and files, also such as are not there yet, or go and come again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing, suppress
from pathlib import Path

from watchfiles import awatch  # pyright: ignore[reportUnknownVariableType]

_PATIENCE_MS = 500
"""How long changes are gathered that come one upon another."""

_LOOK_S = 1.0
"""How often we look whether a folder has come or gone."""

_REST_S = 30.0
"""How often we look at everything all the same: a system does not tell of each change in a folder that is made and filled at
once, nor of any on some network drives."""

_Roots = dict[Path, tuple[int, int]]
"""What can be watched, by its path, with what the system knows it by."""


async def follow(paths: Iterable[Path]) -> AsyncGenerator[set[Path] | None]:
    """What has changed since the last time, for as long as the caller likes. None: perhaps anything. That comes first."""
    paths = list(paths)
    yield None
    while True:
        roots = _roots(paths)
        if roots:
            async with aclosing(_changes(paths, roots)) as changes:
                async for changed in changes:
                    yield changed
        else:
            await asyncio.sleep(_LOOK_S)


async def _changes(paths: list[Path], roots: _Roots) -> AsyncGenerator[set[Path] | None]:
    """Ends when one of the paths has come or gone."""
    looked_at: float | None = None  # before the watch stood, anything may have happened
    real = {root.resolve(): root for root in roots}
    watch = awatch(
        *real,
        watch_filter=None,
        debounce=_PATIENCE_MS,
        rust_timeout=round(_LOOK_S * 1000),
        yield_on_timeout=True,
        ignore_permission_denied=True,
    )
    with suppress(FileNotFoundError):
        async with aclosing(watch):
            async for changes in watch:
                if looked_at is None or time.monotonic() - looked_at > _REST_S:
                    looked_at = time.monotonic()
                    yield None
                elif changes:
                    yield {_as_named(Path(name), real) for _, name in changes}
                if _roots(paths) != roots:
                    return


def _roots(paths: Iterable[Path]) -> _Roots:
    """A file is seen in its folder: whoever replaces it makes another one."""
    found = _Roots()
    for path in paths:
        with suppress(OSError):
            folder = path if path.is_dir() else path.parent
            status = folder.stat()
            found[folder] = status.st_dev, status.st_ino
    return found


def _as_named(path: Path, real: Mapping[Path, Path]) -> Path:
    """A path as the caller names it, who may have come by a link."""
    root = next((root for root in real if path.is_relative_to(root)), None)
    return path if root is None else real[root] / path.relative_to(root)
