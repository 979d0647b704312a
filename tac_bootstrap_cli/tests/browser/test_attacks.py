"""What pages of others try through a browser that was let in, and what hostile texts try in the page itself."""

from __future__ import annotations

import threading
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.async_api import Locator, Page, expect

from ..server.support import Server
from .conftest import Opened
from .support import Complaints, agent_row, let_in, prompt_id, session_path, session_row
from .workflows import HOSTILE


class _Elsewhere(BaseHTTPRequestHandler):
    """A page of somebody else; what it does, a test tells it."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>elsewhere</title><body></body>")

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def other_port() -> Generator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Elsewhere) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture(params=["127.0.0.1", "localhost", "evil.example"])
def elsewhere(request: pytest.FixtureRequest, other_port: int) -> str:
    """Another program's port of this machine is of the same site for a browser: it sends the cookie there, too."""
    return f"http://{request.param}:{other_port}/"


_TRY = """async (address) => {
  const told = {}
  const outcome = (promise) => promise.then((value) => value, (error) => `refused: ${error.name}`)
  told.read = await outcome(fetch(`${address}/api/sessions`, { credentials: 'include' }).then((answer) => answer.text()))
  const blind = { method: 'POST', mode: 'no-cors', credentials: 'include' }
  told.post = await outcome(fetch(`${address}/v1/traces`, { ...blind, body: '{}' }).then((answer) => answer.type))
  told.typed = await outcome(
    fetch(`${address}/v1/traces`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{}' }).then(
      (answer) => answer.type,
    ),
  )
  told.socket = await new Promise((done) => {
    const socket = new WebSocket(`${address.replace('http', 'ws')}/api/live`)
    socket.onopen = () => done('open')
    socket.onerror = () => done('refused')
  })
  for (const [kind, source] of [['script', '/api/sessions'], ['img', '/favicon.svg']]) {
    told[kind] = await new Promise((done) => {
      const element = document.createElement(kind)
      element.onload = () => done('loaded')
      element.onerror = () => done('refused')
      element.src = address + source
      document.body.append(element)
    })
  }
  return told
}"""


async def test_a_page_of_another_origin_gets_nothing(
    open_page: Opened, seen: Server, complaints: Complaints, elsewhere: str
) -> None:
    async with open_page(elsewhere) as page:
        told = await page.evaluate(_TRY, seen.address)

    assert told == {
        "read": "refused: TypeError",
        "post": "refused: TypeError",  # it is sent, and its answer may not even be seen to be one
        "typed": "refused: TypeError",
        "socket": "refused",
        "script": "refused",
        "img": "refused",
    }
    assert complaints.taken()


async def test_a_form_of_another_origin_changes_nothing(
    open_page: Opened, seen: Server, complaints: Complaints, elsewhere: str
) -> None:
    body = '{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "00000000000000000000000000000001"}]}]}]}'
    before = seen.get("/api/status").json()
    async with open_page(elsewhere) as page:
        async with page.expect_navigation() as moved:
            await page.evaluate(
                """([address, body]) => {
                  const form = Object.assign(document.createElement('form'), { method: 'POST', action: address })
                  form.enctype = 'text/plain'
                  form.append(Object.assign(document.createElement('input'), { name: body, value: '' }))
                  document.body.append(form)
                  form.submit()
                }""",
                [f"{seen.address}/v1/traces", body],
            )
        answer = await moved.value

    assert answer.status == 403
    assert seen.get("/api/status").json() == before
    assert complaints.taken()


async def test_no_page_can_be_laid_over_ours(open_page: Opened, seen: Server, complaints: Complaints, elsewhere: str) -> None:
    async with open_page(elsewhere) as page:
        await page.evaluate(
            """(address) => new Promise((done) => {
              const frame = document.createElement('iframe')
              frame.onload = done
              frame.src = address
              document.body.append(frame)
            })""",
            seen.address,
        )
        shown = page.frames[1]

        assert await shown.locator("#app").count() == 0
        assert seen.address not in shown.url
    assert any("frame" in one for one in complaints.taken())


async def test_a_name_that_was_made_to_lead_here_opens_nothing(open_page: Opened, seen: Server, complaints: Complaints) -> None:
    """DNS rebinding: for the browser it is that site's own server, so that nothing but the name can tell."""
    async with open_page(None) as page:
        for path in ("/", "/api/sessions", "/api/health", "/metrics"):
            answer = await page.goto(f"http://rebind.example:{seen.port}{path}")
            assert answer is not None
            assert answer.status == 400
        assert "by that name" in await page.inner_text("body")
        told = await page.evaluate(
            """() => new Promise((done) => {
              const socket = new WebSocket(`ws://${location.host}/api/live`)
              socket.onopen = () => done('open')
              socket.onerror = () => done('refused')
            })"""
        )

        assert told == "refused"
    complaints.clear()


async def test_a_link_from_elsewhere_opens_the_page_but_no_answer_of_the_api(
    open_page: Opened, seen: Server, complaints: Complaints, other_port: int
) -> None:
    async with open_page(f"http://evil.example:{other_port}/") as page:
        statuses = list[int]()
        for path in ("/api/sessions", "/agents"):
            async with page.expect_navigation() as moved:
                await page.evaluate("(address) => { location.href = address }", seen.address + path)
            statuses.append((await moved.value).status)
            await page.goto(f"http://evil.example:{other_port}/")

    assert statuses == [403, 200]
    complaints.clear()


async def no_trap_in(page: Page) -> None:
    """Nothing was run, and nothing stands in the page that runs, loads or leads where it should not."""
    found = await page.evaluate(
        """() => ({
          title: document.title.endsWith('TAC Orchestrator'),
          taken: ({}).isTaken ?? false,
          elements: document.querySelectorAll('main :is(img, iframe, script, style, form, object, embed, base, link)').length,
          handlers: [...document.querySelectorAll('*')]
            .flatMap((one) => one.getAttributeNames())
            .filter((name) => name.startsWith('on')),
          links: [...document.querySelectorAll('a')].map((one) => one.href || one.getAttribute('xlink:href') || '')
            .filter((href) => !/^(https?:|$)/.test(href)),
          outside: [...document.querySelectorAll('a')].filter((one) => one.href && !one.href.startsWith(location.origin))
            .filter((one) => one.rel !== 'noopener noreferrer nofollow').map((one) => one.href),
        })"""
    )
    assert found == {"title": True, "taken": False, "elements": 0, "handlers": [], "links": [], "outside": []}
    await expect(page.locator("main")).to_be_visible()


@pytest.mark.parametrize("form", ["", "?form=raw"])
async def test_hostile_texts_are_only_shown_in_a_prompt(page: Page, seen: Server, form: str) -> None:
    await page.goto(f"/prompts/{prompt_id(seen, HOSTILE, '# Hostile')}{form}")
    await expect(page.get_by_role("region", name="Answer", exact=True)).to_contain_text(
        "<script>document.title='taken'</script>"
    )
    await opened_up(page.get_by_text("Arguments and result"), page.get_by_text("Details"))

    await no_trap_in(page)


@pytest.mark.parametrize("view", ["", "?view=prompts", "?view=logs"])
async def test_hostile_texts_are_only_shown_in_a_session(page: Page, view: str) -> None:
    await page.goto(session_path(HOSTILE, view))
    await expect(page.get_by_role("heading", level=1)).to_have_text(HOSTILE)
    if view == "":
        await agent_row(page, f"{HOSTILE} builder").click(position={"x": 60, "y": 16})
        await expect(page.get_by_role("complementary")).to_contain_text("Context")
        await opened_up(page.get_by_text("Context"))
    if view == "?view=logs":
        await page.get_by_role("button", name="more").first.click()

    await expect(page.locator("main")).to_contain_text("<script>")
    await no_trap_in(page)


async def opened_up(*summaries: Locator) -> None:
    for one in summaries:
        await one.first.click()


@pytest.mark.parametrize("path", ["/", "/agents", "/system"])
async def test_hostile_names_are_only_shown_in_lists(page: Page, path: str) -> None:
    await page.goto(path)
    await expect(page.locator("main")).to_contain_text("<b>bold</b>" if path == "/system" else HOSTILE)

    await no_trap_in(page)


async def test_hostile_texts_are_only_shown_where_they_are_found(page: Page) -> None:
    await page.goto("/")
    await expect(session_row(page, HOSTILE)).to_be_visible()
    await page.keyboard.press("Control+k")
    await page.keyboard.type("hostile onerror")
    await expect(page.get_by_role("dialog").get_by_role("option").first).to_contain_text("<img")

    await no_trap_in(page)
    assert await page.get_by_role("dialog").locator("img, script, iframe").count() == 0


_BREAK = """async () => {
  const told = (window.told = [])
  document.addEventListener('securitypolicyviolation', (event) => told.push(event.effectiveDirective))
  const tries = [
    () => document.body.append(Object.assign(new Image(), { src: 'http://evil.example/leak' })),
    () => document.body.append(Object.assign(document.createElement('iframe'), { src: 'http://evil.example/' })),
    () => fetch('http://evil.example/leak').catch(() => undefined),
    () => document.body.append(Object.assign(document.createElement('base'), { href: 'http://evil.example/' })),
    () => { document.body.innerHTML = '<b>x</b>' },
    () => document.body.setAttribute('onclick', 'document.title = "taken"') ?? document.body.click(),
    () => { location.href = 'javascript:document.title = "taken"' },
  ]
  for (const one of tries) {
    try {
      await one()
    } catch (error) {
      told.push(error.name)
    }
  }
}"""
_FORBIDDEN = ["base-uri", "connect-src", "frame-src", "img-src", "require-trusted-types-for", "script-src-elem"]


async def test_what_a_text_that_broke_out_would_try_is_forbidden_all_the_same(page: Page, complaints: Complaints) -> None:
    """The second line of defence, tried from within the page, since nothing is known that gets there."""
    await page.goto("/agents")
    await expect(page.get_by_role("heading", level=1)).to_be_visible()
    await page.evaluate(_BREAK)

    await page.wait_for_function("(kinds) => kinds.every((one) => told.includes(one))", arg=_FORBIDDEN)
    assert await page.title() == "Agents · TAC Orchestrator"
    assert complaints.taken()


async def test_a_cookie_is_of_this_server_only(open_page: Opened, seen: Server, complaints: Complaints) -> None:
    """Cookies know no ports: another server of this machine gets it, but under a name that is not its own."""
    async with open_page(None, is_let_in=False) as page:
        await let_in(page.context, Server(seen.port + 1, [], "", 0))
        await page.goto("/")
        await expect(page.get_by_role("heading", name="This browser is not let in yet")).to_be_visible()
    complaints.clear()
