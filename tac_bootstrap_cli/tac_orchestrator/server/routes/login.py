"""Lets a browser in: the code of a link, or the token itself, becomes a cookie that no script can read."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Body, Request, Response

from tac_orchestrator.server.access import Access
from tac_orchestrator.server.guard import Place
from tac_orchestrator.server.problems import PROBLEMS, problem

router = APIRouter(prefix="/api/login", tags=["login"], responses=PROBLEMS)

_DAYS_S = 30 * 24 * 60 * 60


@router.post("", status_code=HTTPStatus.NO_CONTENT, response_class=Response)
async def log_in(request: Request, code: Annotated[str, Body(embed=True, max_length=1000)]) -> Response:
    """`code` is that of the link which `tac-orch serve` prints, good once and for ten minutes; or the token."""
    access: Access = request.app.state.access
    place: Place = request.app.state.place
    if not access.is_token(code) and not access.redeem(code):
        return problem(
            HTTPStatus.UNAUTHORIZED,
            "This is neither the server's token nor a link that is still good.",
            hint="`tac-orch serve --link` prints a new one.",
        )
    answer = Response(status_code=HTTPStatus.NO_CONTENT)
    answer.set_cookie(place.cookie_name, access.cookie, max_age=_DAYS_S, httponly=True, samesite="strict", path="/")
    return answer
