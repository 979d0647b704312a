"""Each example, run as its reader runs it: in an empty folder, with an empty home."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"

PRINTED = {
    "first_run": "completed 0.0061\n",
    "blocking_script": "nightly completed 1\n['python --version']\n",
    "decorator": (
        "['roof built', ValueError('no bricks left')]\n"
        "planner: completed \n"
        "  builder: completed \n"
        "  builder: failed ValueError: no bricks left\n"
    ),
    "sub_agents": (
        "planner completed \n"
        "  builder roof completed \n"
        "  builder cellar failed RuntimeError: ground water\n"
        "  builder door completed \n"
    ),
    "costs": (
        "claude-opus-5-5: 12000 tokens read, 0.064 USD\n"
        "claude-haiku-5-5: 90000 tokens read, 0.011 USD\n"
        "our-own-model: 5000 tokens read, unknown USD\n"
        "issue-42: 0.075 USD, and 1 request without a price\n"
        f"genai-prices {version('genai-prices')} has no price for model 'our-own-model'\n"
    ),
}

BEGUN_AT_ONCE = {"decorator"}
"""Examples of which two agents begin at once, so that either may be told first."""


def test_every_example_is_known_here() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == PRINTED.keys()


@pytest.mark.parametrize("name", PRINTED)
def test_an_example_does_what_it_says(name: str, tmp_path: Path) -> None:
    home, folder = tmp_path / "home", tmp_path / "folder"
    home.mkdir()
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / f"{name}.py"],
        cwd=folder,
        env={"HOME": str(home)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    in_order = sorted if name in BEGUN_AT_ONCE else list[str]
    assert in_order(done.stdout.splitlines()) == in_order(PRINTED[name].splitlines())
    assert (folder / "adws" / "schema" / "orchestrator.db").is_file()
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("name", PRINTED)
def test_an_example_is_short(name: str) -> None:
    assert len((EXAMPLES / f"{name}.py").read_text().splitlines()) < 40
