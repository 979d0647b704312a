"""Errors as a program gets them."""

from __future__ import annotations

import copy
import pickle

import pytest

from tac_orchestrator import (
    AlreadyExists,
    DatabaseBusy,
    DatabaseCorrupt,
    DatabaseUnavailable,
    InvalidRecord,
    InvalidSetting,
    InvalidTransition,
    MigrationFailed,
    NotFound,
    OrchestratorError,
    SchemaDrift,
    SchemaTooNew,
)

ERRORS = [
    NotFound("agent", "x", hint="Make one."),
    AlreadyExists("orchestrator_agent", "planner"),
    InvalidRecord("prompt", "it takes 0 or more", field="tokens_input", value=-1),
    InvalidSetting("TAC_ORCHESTRATOR_REDACT", "maybe", "1 or 0"),
    InvalidTransition("agent", "x", current="failed", wanted="completed"),
    SchemaTooNew("a.db", found=99, supported=11),
    SchemaDrift("a.db", "this is not an SQLite file"),
    MigrationFailed("a.db", "003_details", "the disk is full"),
    DatabaseBusy("somebody writes"),
    DatabaseUnavailable("a.db", "it has gone", hint="Look for it."),
    DatabaseCorrupt("a.db", "it is damaged"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_of_a_worker_is_the_same_in_the_process_that_waits_for_it(error: OrchestratorError) -> None:
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(other) is type(error)
        assert (str(other), other.hint, vars(other)) == (str(error), error.hint, vars(error))
