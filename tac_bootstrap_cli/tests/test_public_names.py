from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import tac_orchestrator


def names_for_type_checkers() -> dict[str, str]:
    """Each public name, and the module that it is said to be from."""
    tree = ast.parse(Path(tac_orchestrator.__file__).read_text())
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return {alias.name: node.module or "" for node in imports for alias in node.names if alias.name in tac_orchestrator.__all__}


@pytest.mark.parametrize("name", tac_orchestrator.__all__)
def test_a_public_name_is_what_type_checkers_take_it_for(name: str) -> None:
    found = getattr(tac_orchestrator, name)

    assert getattr(found, "__module__", None) == names_for_type_checkers().get(name)
    assert name in dir(tac_orchestrator)


def test_a_name_that_is_not_public_is_refused() -> None:
    with pytest.raises(AttributeError, match="module 'tac_orchestrator' has no attribute 'nonsense'"):
        tac_orchestrator.nonsense  # noqa: B018


def test_the_package_alone_loads_nothing() -> None:
    code = "import sys, tac_orchestrator; print(*(name for name in sys.modules if name.startswith('tac_orchestrator.')))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["tac_orchestrator.version"]
