"""Opens an address in the browser of whoever sits there."""

from __future__ import annotations

import os
import webbrowser


def show_in_browser(address: str) -> bool:
    """Whether there is one that does not take the terminal for itself; unless BROWSER asks for such a one."""
    try:
        found = webbrowser.get()
    except webbrowser.Error:
        return False
    if isinstance(found, webbrowser.GenericBrowser) and not isinstance(found, webbrowser.BackgroundBrowser):
        return "BROWSER" in os.environ and found.open(address)
    return found.open(address)
