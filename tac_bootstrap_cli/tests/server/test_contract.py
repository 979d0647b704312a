"""What the API answers is what its description says, whatever is asked: schemathesis makes up the questions."""

from __future__ import annotations

from collections.abc import Generator

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode, checks
from schemathesis.specs.openapi import checks as openapi_checks

from tac_orchestrator.server.app import create_api

from .support import TOKEN, Server

API = schemathesis.openapi.from_dict(create_api().openapi())
CHECKS = [
    checks.not_a_server_error,
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_headers_conformance,
    openapi_checks.response_schema_conformance,
]
ROWS = {
    "/api/orchestrator-agents/{id}": "id",
    "/api/agents/{id}": "id",
    "/api/prompts/{id}": "id",
    "/api/agent-logs/{id}": "id",
    "/api/system-logs/{id}": "id",
    "/api/sessions/{session_id}": "session_id",
}


def told(examples: int) -> settings:
    """Small ones, always the same."""
    return settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


@pytest.fixture(scope="module")
def session() -> Generator[requests.Session]:
    with requests.Session() as found:
        found.headers["Authorization"] = f"Bearer {TOKEN}"
        yield found


def ask(data: st.DataObject, path: str, mode: GenerationMode, server: Server, session: requests.Session) -> None:
    (method,) = API[path]
    case = data.draw(API[path][method].as_strategy(generation_mode=mode))
    case.call_and_validate(base_url=server.address, session=session, checks=CHECKS)


@pytest.mark.parametrize("path", API)
@given(data=st.data(), mode=st.sampled_from(GenerationMode))
@told(10)
def test_any_question_gets_an_answer_of_a_kind_that_is_described(
    data: st.DataObject, mode: GenerationMode, server: Server, session: requests.Session, path: str
) -> None:
    ask(data, path, mode, server, session)


@pytest.mark.long
@pytest.mark.parametrize("path", API)
@given(data=st.data(), mode=st.sampled_from(GenerationMode))
@told(200)
def test_very_many_questions_do(
    data: st.DataObject, mode: GenerationMode, server: Server, session: requests.Session, path: str
) -> None:
    ask(data, path, mode, server, session)


@pytest.mark.parametrize("path", ROWS)
def test_what_is_there_is_as_described(server: Server, session: requests.Session, path: str) -> None:
    """A made-up id is nobody's."""
    key = ROWS[path]
    row = server.get(path.rpartition("/")[0]).json()["items"][0]
    answer = (
        API[path]["GET"]
        .Case(path_parameters={key: row[key]})
        .call_and_validate(base_url=server.address, session=session, checks=CHECKS)
    )

    assert (answer.status_code, answer.json()) == (200, row)
