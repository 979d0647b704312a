"""tac-orch serve"""

from __future__ import annotations

import errno
import gc
import socket
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, contextmanager
from threading import Thread
from typing import TYPE_CHECKING

import click

from tac_orchestrator.cli.browser import show_in_browser
from tac_orchestrator.cli.interrupts import run
from tac_orchestrator.cli.options import command
from tac_orchestrator.cli.output import Screen, print_json_line
from tac_orchestrator.database import Database
from tac_orchestrator.errors import InvalidSetting, NotFound
from tac_orchestrator.settings import Settings

if TYPE_CHECKING:
    from tac_orchestrator.server.access import Access
    from tac_orchestrator.server.guard import Place

DEFAULT_PORT = 7717

_PATIENCE_S = 5.0


@command(
    "serve",
    examples=[
        "tac-orch serve",
        "tac-orch serve --port 8080 --open",
        "tac-orch serve --link                                        # a new link to the server that runs",
        "tac-orch serve --host 0.0.0.0 --allow-host agents.example    # for others, who need the token",
    ],
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=DEFAULT_PORT, show_default=True, help="0 takes any that is free."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option("--allow-host", "names", multiple=True, metavar="NAME", help="Another name by which the server is asked.")
@click.option("--read-only", is_flag=True, help="Take nothing in.")
@click.option("--open", "is_opened", is_flag=True, help="Open the page in a browser.")
@click.option("--link", "only_link", is_flag=True, help="Print a link to the server that runs at this port, and end.")
@click.option("--new-token", is_flag=True, help="Make a new token: every browser and program has to be let in anew.")
def serve(
    target: str | None,
    as_json: bool,
    port: int,
    host: str,
    names: tuple[str, ...],
    read_only: bool,
    is_opened: bool,
    only_link: bool,
    new_token: bool,
) -> None:
    """Show the store in a browser as it changes, and take in what agents send.

    The link to the page lets one browser in, once. On the loopback, exporters of OpenTelemetry send to the same port, and to
    4318 if it is free, without a token.
    """
    gc.disable()  # all that is loaded now stays: to look through it again and again takes a sixth of the start
    from tac_orchestrator.server.access import Access, kept_token
    from tac_orchestrator.server.serving import is_loopback, listen, listen_for_telemetry, place_of

    access = Access(kept_token(renew=new_token))
    if only_link:
        _refuse_silence(host, port)
        _tell_link(_link(access.new_code(), host, port), as_json)
        return
    if not is_loopback(host) and not names:
        raise InvalidSetting("--host", host, "--allow-host with the name that others use, too: the server answers to no other")
    settings = Settings.from_environment() if target is None else Settings.from_environment().at(target)
    with _explaining(), closing(listen(host, port)) as first:
        sockets = [first, *filter(None, [None if read_only else listen_for_telemetry(host)])]
        link = _link(access.new_code(), names[0] if names else host, first.getsockname()[1])
        place = place_of(sockets, names, is_read_only=read_only)
        run(_run(settings, access, place, sockets, lambda: _tell(link, sockets, as_json, is_opened)))


async def _run(
    settings: Settings, access: Access, place: Place, sockets: Sequence[socket.socket], ready: Callable[[], None]
) -> None:
    """A store that is refused is told of before anybody is answered."""
    from tac_orchestrator.server.app import create_app
    from tac_orchestrator.server.serving import serve as run

    async with Database(settings, create=not place.is_read_only) as database:
        await run(create_app(database, access, place), sockets, ready=lambda: _ready(ready))


def _ready(tell: Callable[[], None]) -> None:
    gc.freeze()
    gc.enable()
    tell()


def _refuse_silence(host: str, port: int) -> None:
    """A link to nobody would be found out only in the browser."""
    try:
        socket.create_connection((host, port), timeout=_PATIENCE_S).close()
    except OSError:
        raise NotFound("server", f"{host}:{port}", hint="`tac-orch serve` starts one, and prints its link.") from None


@contextmanager
def _explaining() -> Generator[None]:
    """Most often it is a server of ours that has the port."""
    try:
        yield
    except InvalidSetting as error:
        if isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EADDRINUSE:
            error.hint = "`tac-orch serve --link` prints a link to a server that runs there; `--port 0` takes a free port."
        raise


def _link(code: str, host: str, port: int) -> str:
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}/#login={code}"


def _tell_link(link: str, as_json: bool) -> None:
    if as_json:
        print_json_line({"link": link})
    else:
        Screen().line(link)


def _tell(link: str, sockets: Sequence[socket.socket], as_json: bool, is_opened: bool) -> None:
    ports = [one.getsockname()[1] for one in sockets]
    if as_json:
        print_json_line({"link": link, "ports": ports})
    else:
        screen = Screen()
        screen.line(f"The page:     {link}")
        screen.line(
            f"Telemetry:    OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:{ports[-1]} OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"
        )
        screen.line("The link lets one browser in, once, within ten minutes. Ctrl-C ends the server.")
    sys.stdout.flush()
    if is_opened:
        Thread(target=show_in_browser, args=(link,), daemon=True).start()  # some wait for their browser
