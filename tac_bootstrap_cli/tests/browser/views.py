"""Every view of the page, with something to show."""

from __future__ import annotations

from dataclasses import dataclass

from playwright.async_api import Page, expect

from ..server.support import Server
from .support import prompt_id, session_path
from .workflows import FAILED, GOOD, HOSTILE, RUNNING, STRANGE


@dataclass(frozen=True)
class View:
    name: str
    address: str
    """`{prompt}` stands for the id of the prompt that `asks`."""
    content: str
    """What it shows when it is loaded."""
    session_id: str = GOOD
    asks: str = "Plan it."

    def __str__(self) -> str:
        return self.name

    def path(self, server: Server) -> str:
        if "{prompt}" not in self.address:
            return self.address
        return self.address.format(prompt=prompt_id(server, self.session_id, self.asks))

    async def shown(self, page: Page) -> None:
        await expect(page.locator("main")).to_contain_text(self.content)


VIEWS = [
    View("sessions", "/", GOOD),
    View("agents of a session", session_path(GOOD), "reviewer"),
    View("a failed session", session_path(FAILED), "1 failed in 0.1s"),
    View("a running session", session_path(RUNNING), "reviewing"),
    View("a deep session", session_path(STRANGE), "builder 12"),
    View("a hostile session", session_path(HOSTILE), "onload="),
    View("prompts of a session", session_path(GOOD, "?view=prompts"), "Build it."),
    View("logs of a session", session_path(FAILED, "?view=logs"), "step 599"),
    View("a prompt", "/prompts/{prompt}", "print("),
    View("a raw prompt", "/prompts/{prompt}?form=raw", "# Plan"),
    View("a hostile prompt", "/prompts/{prompt}", "Details", HOSTILE, "# Hostile"),
    View("kinds of agents", "/agents", "sdlc_planner"),
    View("system", "/system", "backup was written"),
    View("nothing", "/no/such/place", "There is nothing at this address"),
]
