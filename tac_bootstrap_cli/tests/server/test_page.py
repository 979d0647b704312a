"""The page, as a browser gets it: any path that is no other's leads to it, and nothing that is not part of it does."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pytest

from tac_orchestrator.server.app import create_api
from tac_orchestrator.server.guard import CONTENT_POLICY
from tac_orchestrator.server.page import FOLDER, page_files

from .support import Server

DASHBOARD = Path(__file__).parents[3] / "dashboard"


def assets(server: Server) -> list[str]:
    return re.findall(r'(?:src|href)="(/assets/[^"]+)"', server.get("/", token=None).text)


@pytest.mark.parametrize(
    "path", ["/", "/index.html", "/sessions/issue-1", "/sessions/a%2Fb%20c", "/prompts/1", "/no/such/place"]
)
def test_every_link_into_the_page_gives_the_page(server: Server, path: str) -> None:
    answer = server.get(path, token=None)

    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert answer.content == (FOLDER / "index.html").read_bytes()


def test_the_page_needs_no_login_since_it_holds_nothing_of_the_store(server: Server) -> None:
    assert {server.get(path, token=None).status_code for path in ("/", "/favicon.svg", *assets(server))} == {200}


def test_its_files_have_the_types_that_browsers_insist_on(server: Server) -> None:
    types = {Path(path).suffix: server.get(path).headers["content-type"] for path in ("/favicon.svg", *assets(server))}

    assert types == {
        ".js": "text/javascript; charset=utf-8",
        ".css": "text/css; charset=utf-8",
        ".svg": "image/svg+xml",
    }


@pytest.mark.parametrize("path", ["/", "/sessions/issue-1", "/assets/none.js", "/api/none"])
def test_every_answer_forbids_what_the_page_does_not_need(server: Server, path: str) -> None:
    headers = server.get(path).headers

    assert headers["content-security-policy"] == CONTENT_POLICY
    assert (headers["x-content-type-options"], headers["x-frame-options"]) == ("nosniff", "DENY")


def test_the_page_is_written_for_that_policy() -> None:
    """No script and no style within the HTML, and one way only by which a text becomes elements."""
    html = (FOLDER / "index.html").read_text("utf-8")
    assert re.findall(r"<style|<script(?![^>]*\ssrc=)|\sstyle=|\son\w+=|https?://", html) == []
    sources = {path: path.read_text("utf-8") for path in (DASHBOARD / "src").rglob("*") if path.suffix in (".ts", ".vue")}
    unsafe = re.compile(r"v-html|innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|\sstyle=\"")
    assert [path.name for path, text in sources.items() if unsafe.search(text)] == []
    assert [path.name for path, text in sources.items() if "markdown-it" in text] == ["markdown.ts"]


def test_files_whose_names_hold_their_hash_are_kept_and_the_page_is_asked_for_anew(server: Server) -> None:
    kept = {server.get(path).headers["cache-control"] for path in assets(server)}

    assert kept == {"public, max-age=31536000, immutable"}
    assert {server.get(path).headers["cache-control"] for path in ("/", "/sessions/x", "/favicon.svg")} == {"no-cache"}


def test_who_has_the_page_already_is_told_so(server: Server) -> None:
    tag = server.get("/").headers["etag"]

    again = server.get("/", headers={"If-None-Match": tag})

    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert server.get("/", headers={"If-None-Match": '"other"'}).status_code == 200


def test_files_are_packed_for_who_can_unpack_them(server: Server) -> None:
    script = next(path for path in assets(server) if path.endswith(".js"))

    plain = server.get(script, headers={"Accept-Encoding": "identity"})
    packed = server.get(script, headers={"Accept-Encoding": "gzip"})

    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) < len(plain.content) / 2
    assert packed.content == plain.content


def test_a_first_look_loads_little(server: Server) -> None:
    files = page_files()
    first = [files[path.removeprefix("/")] for path in assets(server) if path.endswith(".js")]

    assert sum(len(gzip.compress(file.body)) for file in first) < 250_000


@pytest.mark.parametrize("path", ["/api/none", "/api", "/api/agents/tree/x", "/metrics/none"])
def test_what_the_api_does_not_have_is_an_error_in_its_own_form(server: Server, path: str) -> None:
    answer = server.get(path)

    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_the_page_is_only_read(server: Server, method: str) -> None:
    assert server.ask(method, "/sessions/issue-1").status_code == 404


def test_an_asset_that_is_not_there_is_not_the_page(server: Server) -> None:
    """Or a browser would take HTML for a script, and keep it for a year."""
    assert server.get("/assets/index-old.js").status_code == 404


@pytest.mark.parametrize(
    "path",
    ["/../page.py", "/assets/../../page.py", "/..%2fpage.py", "/%2e%2e/page.py", "/assets/..%5c..%5cpage.py", "//etc/passwd"],
)
def test_no_path_leads_out_of_the_folder(server: Server, path: str) -> None:
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nConnection: close\r\n\r\n".encode()

    answer = server.answer(request)

    assert b"page_files" not in answer
    assert b"root:" not in answer
    assert answer.startswith((b"HTTP/1.1 404", b"HTTP/1.1 200"))
    assert b"<!doctype html>" in answer or b"problem+json" in answer


def test_a_page_that_was_not_built_says_how_it_is(tmp_path: Path) -> None:
    assert page_files(tmp_path) == {}


def test_the_types_of_the_page_are_those_of_the_api() -> None:
    """`scripts/reference` writes the file anew."""
    described = json.loads((DASHBOARD / "openapi.json").read_text("utf-8"))

    assert described == create_api().openapi()
