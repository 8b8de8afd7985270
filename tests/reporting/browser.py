"""A real browser for the tests of the page, where there is one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = Path("/usr/bin/chromium")


@contextmanager
def opened(page: Path, width: int = 1280, height: int = 900, scheme: str = "light") -> Iterator[Any]:
    """Open a page from the disk; at the end nothing may have been said on the console or asked of a network."""
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is not installed (Debian: apt-get install chromium)")
    sync = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: pip install '.[test]'")
    with sync.sync_playwright() as playwright:
        # Without a sandbox of its own: tests may run as root in a container, and the page is ours.
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        tab = context.new_page()
        heard: list[str] = []
        tab.on("console", lambda message: heard.append(message.text))
        tab.on("pageerror", lambda error: heard.append(str(error)))
        tab.on("dialog", lambda dialog: (heard.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        tab.on("request", lambda request: heard.append(request.url) if request.url.startswith("http") else None)
        tab.goto(page.as_uri())
        yield tab
        browser.close()
    assert not heard, heard
