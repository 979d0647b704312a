"""Builds the page into the server's folder, with the Node that comes as a Python package, unless what is there is current.

`python dashboard/build.py`; with the name of a script of package.json, that is run instead: `python dashboard/build.py check`.
The packages that it takes from npm are those of package-lock.json, by hash.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from pathlib import Path

from npm import npm

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "tac_bootstrap_cli" / "tac_orchestrator" / "server" / "static"
STAMP = PAGE / "sources"
"""What the page was built from, as a hash."""

_SOURCES = ("package.json", "package-lock.json", "openapi.json", "index.html", "vite.config.ts", "tsconfig.json")


def fingerprint() -> str:
    files = [HERE / name for name in _SOURCES]
    files += sorted(path for folder in ("src", "public") for path in (HERE / folder).rglob("*") if path.is_file())
    found = hashlib.sha256()
    for path in files:
        if path != HERE / "src" / "api" / "schema.ts":  # made by the build
            found.update(b"%s\0%d\0" % (path.relative_to(HERE).as_posix().encode(), path.stat().st_size))
            found.update(path.read_bytes())
    return found.hexdigest()


def is_current() -> bool:
    return STAMP.is_file() and STAMP.read_text("ascii") == fingerprint()


def build() -> None:
    """A page is replaced when the new one is whole."""
    sources, new = fingerprint(), PAGE.with_name("static.new")
    npm(HERE, "ci", "--ignore-scripts", "--loglevel=error")
    npm(HERE, "run", "--silent", "build", "--", "--outDir", str(new), "--emptyOutDir", "--logLevel", "warn")
    (new / STAMP.name).write_text(sources, "ascii")
    shutil.rmtree(PAGE, ignore_errors=True)
    new.rename(PAGE)


def main(arguments: list[str]) -> None:
    if arguments:
        npm(HERE, "run", "--silent", *arguments)
    elif not is_current():
        sys.stderr.write("Building the page …\n")
        build()


if __name__ == "__main__":
    main(sys.argv[1:])
