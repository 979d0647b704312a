"""Who may ask: programs with the token, a browser that was let in, and no page but the server's own."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tac_orchestrator import InvalidSetting
from tac_orchestrator.server.access import Access, kept_token, token_file
from tac_orchestrator.server.app import create_api

from .support import TOKEN, Server, serving

WITHOUT_TOKEN = {"/api/health", "/api/login"}


def routes() -> list[str]:
    return sorted({path.replace("{", "x").replace("}", "").replace(":path", "") for path in create_api().openapi()["paths"]})


@pytest.mark.parametrize("path", [path for path in routes() if path not in WITHOUT_TOKEN])
def test_every_route_needs_the_token(server: Server, path: str) -> None:
    assert [server.get(path, token=None).status_code, server.get(path, token=f"{TOKEN}x").status_code] == [401, 401]


def test_health_says_no_more_than_that_it_is_well(server: Server) -> None:
    assert server.get("/api/health", token=None).json() == {"status": "ok"}


@pytest.mark.parametrize("path", ["/api/health", "/api/agents", "/", "/v1/traces", "/metrics"])
@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1.nip.io:{port}", "127.0.0.1@evil", "127.0.0.1:1", ""]
)
def test_a_name_that_is_not_ours_is_refused(server: Server, path: str, host: str) -> None:
    """Or somebody else's name that leads here could read the store."""
    named = host.format(port=server.port)
    request = f"GET {path} HTTP/1.1\r\nHost: {named}\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"

    assert server.raw(request.encode()).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "localhost:{port}", "LOCALHOST:{port}", "[::1]:{port}"])
def test_names_of_this_machine_are_ours(server: Server, host: str) -> None:
    request = f"GET /api/health HTTP/1.1\r\nHost: {host.format(port=server.port)}\r\n\r\n"

    assert server.raw(request.encode()).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("origin", ["http://evil.example", "http://127.0.0.1:1", "http://localhost:3000", "null", "file://"])
@pytest.mark.parametrize(("method", "path"), [("GET", "/api/agents"), ("POST", "/api/login"), ("GET", "/api/health")])
def test_a_page_of_another_origin_is_refused(server: Server, method: str, path: str, origin: str) -> None:
    answer = server.ask(method, path, headers={"Origin": origin}, json={"code": TOKEN} if method == "POST" else None)

    assert answer.status_code == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_what_a_browser_says_comes_from_elsewhere_is_refused(server: Server, site: str) -> None:
    headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors"}

    assert server.get("/api/agents", headers=headers).status_code == 403


@pytest.mark.parametrize("headers", [{"Origin": "http://127.0.0.1:{port}"}, {"Sec-Fetch-Site": "same-origin"}])
def test_a_browser_sends_no_telemetry(server: Server, headers: dict[str, str]) -> None:
    """Exporters need no token here, so that a page must not be able to pass for one."""
    named = {name: value.format(port=server.port) for name, value in headers.items()}

    assert server.ask("POST", "/v1/traces", token=None, headers=named, content=b"").status_code == 403


def test_a_link_lets_one_browser_in_once(server: Server) -> None:
    code = urlsplit(server.link).fragment.removeprefix("login=")
    first = server.ask("POST", "/api/login", token=None, json={"code": code})
    second = server.ask("POST", "/api/login", token=None, json={"code": code})
    cookie = first.headers["set-cookie"]

    assert [first.status_code, second.status_code] == [204, 401]
    assert all(word in cookie for word in ("HttpOnly", "SameSite=strict", f"tac_orchestrator_{server.port}="))
    assert server.get("/api/agents", token=None, headers={"Cookie": cookie.partition(";")[0]}).status_code == 200


@pytest.mark.parametrize("code", ["", "x", "é", "A" * 46, "=" * 46, TOKEN[:-1]])
def test_a_code_that_nobody_made_lets_nobody_in(server: Server, code: str) -> None:
    assert server.ask("POST", "/api/login", token=None, json={"code": code}).status_code == 401


def test_a_cookie_of_another_token_is_worth_nothing(server: Server) -> None:
    cookie = f"tac_orchestrator_{server.port}={Access('another-token-of-32-characters').cookie}"

    assert server.get("/api/agents", token=None, headers={"Cookie": cookie}).status_code == 401


def test_a_code_is_good_for_ten_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    access = Access(TOKEN)
    code = access.new_code()
    now = __import__("time").time()
    monkeypatch.setattr("tac_orchestrator.server.access.time.time", lambda: now + 601)

    assert not access.redeem(code)


@pytest.mark.parametrize("path", ["/api/health", "/api/nothing", "/api/agents"])
def test_every_answer_tells_the_browser_to_be_strict(server: Server, path: str) -> None:
    headers = server.get(path, token=None).headers

    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert (
        headers["x-content-type-options"],
        headers["x-frame-options"],
        headers["referrer-policy"],
    ) == ("nosniff", "DENY", "no-referrer")
    assert "server" not in headers


def test_a_server_that_only_reads_takes_nothing_in(store: Path) -> None:
    with serving(store, "--read-only") as server:
        assert [server.get("/api/agents").status_code, server.ask("POST", "/v1/traces", content=b"").status_code] == [200, 403]


def test_an_address_for_others_needs_a_name(store: Path) -> None:
    with pytest.raises(AssertionError, match="allow-host"), serving(store, "--host", "0.0.0.0"):
        pass


def test_others_need_the_token_for_telemetry_too(store: Path) -> None:
    with serving(store, "--host", "0.0.0.0", "--allow-host", "agents.example") as server:
        without = server.ask("POST", "/v1/traces", token=None, content=b"").status_code
        named = server.raw(f"GET /api/health HTTP/1.1\r\nHost: agents.example:{server.port}\r\n\r\n".encode())

    assert (without, named.startswith(b"HTTP/1.1 200")) == (401, True)


def test_the_token_is_made_once_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    environment = {"HOME": str(tmp_path)}
    old = os.umask(0)
    try:
        token = kept_token(environment)
    finally:
        os.umask(old)

    assert (token, 0o600) == (kept_token(environment), token_file(environment).stat().st_mode & 0o777)
    assert token != kept_token(environment, renew=True)


@pytest.mark.parametrize("fault", ["open to others", "too short", "a link"])
def test_a_token_that_others_may_know_is_refused(tmp_path: Path, fault: str) -> None:
    environment = {"HOME": str(tmp_path)}
    kept_token(environment)
    path = token_file(environment)
    if fault == "open to others":
        path.chmod(0o644)
    elif fault == "too short":
        path.write_text("abc")
    else:
        path.rename(tmp_path / "elsewhere")
        path.symlink_to(tmp_path / "elsewhere")

    with pytest.raises((InvalidSetting, OSError)):
        kept_token(environment)


def test_a_port_that_is_taken_is_told(server: Server, store: Path) -> None:
    with pytest.raises(AssertionError, match="one that is free"), serving(store, "--port", str(server.port)):
        pass


def test_a_store_that_is_refused_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no database")
    with pytest.raises(AssertionError) as refused, serving(tmp_path / "notes.txt"):
        pass

    assert "this is not an SQLite file" in str(refused.value)
    assert "Traceback" not in str(refused.value)
