from __future__ import annotations

import socket
from collections.abc import Generator

import pytest

from .support import Caller


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> Generator[int]:
    """A port at which somebody listens already."""
    monkeypatch.setenv("TAC_ORCHESTRATOR_TOKEN", "a-token-for-tests-only")
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        yield somebody.getsockname()[1]


def test_a_port_that_is_taken_leads_to_the_server_that_has_it(call: Caller, taken: int) -> None:
    refused = call("serve", "--port", str(taken))

    assert (refused.code, "Address already in use" in refused.err) == (2, True)
    assert "Try: `tac-orch serve --link` prints a link to a server that runs there" in refused.err
    assert call("serve", "--link", "--port", str(taken)).out.startswith(f"http://127.0.0.1:{taken}/#login=")


def test_there_is_no_link_to_nobody(call: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAC_ORCHESTRATOR_TOKEN", "a-token-for-tests-only")
    with socket.create_server(("127.0.0.1", 0)) as left:
        port = left.getsockname()[1]

    result = call("serve", "--link", "--port", str(port))

    assert (result.code, result.out) == (3, "")
    assert result.err.splitlines() == [
        f"Error: There is no server '127.0.0.1:{port}'.",
        "Try: `tac-orch serve` starts one, and prints its link.",
    ]
