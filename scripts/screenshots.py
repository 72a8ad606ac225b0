"""Writes docs/images/*.png: the element in each of its states, before a real server.

python -m scripts.screenshots [NAME …]
"""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import shutil
from pathlib import Path
from typing import Literal, NamedTuple

import anyio
from playwright.async_api import Browser, async_playwright

from tests.browser.states import in_state

FOLDER = Path(__file__).parents[1] / "docs" / "images"


class Shot(NamedTuple):
    """One picture."""

    state: str
    width: int = 960
    scheme: Literal["light", "dark"] = "light"


SHOTS = {
    **{
        state: Shot(state)
        for state in (
            "running",
            "question",
            "waiting",
            "reconnecting",
            "offline",
            "gave-up",
            "completed",
            "failed",
            "cancelled",
            "pending",
        )
    },
    "dark": Shot("running", scheme="dark"),
    "dark-question": Shot("question", scheme="dark"),
    "compact": Shot("running", width=360),
    "compact-question": Shot("question", width=360),
}


def quantise(path: Path) -> None:
    """Makes a picture a third as large where Pillow, which nothing else needs, is installed."""
    try:
        pillow = importlib.import_module("PIL.Image")
    except ImportError:
        return
    with pillow.open(path) as image:
        small = image.convert("RGB").quantize(
            256, method=pillow.Quantize.MAXCOVERAGE, dither=pillow.Dither.NONE
        )
    small.save(path, optimize=True)


async def take(browser: Browser, name: str) -> None:
    """Takes one picture."""
    shot = SHOTS[name]
    context = await browser.new_context(color_scheme=shot.scheme, locale="en-GB", timezone_id="UTC")
    try:
        async with in_state(context, shot.state, width=shot.width) as page:
            # What is out of sight is not drawn.
            await page.set_viewport_size({"width": shot.width, "height": 2600})
            element = page.locator("agent-progress")
            path = FOLDER / f"{name}.png"
            await element.screenshot(path=path, animations="disabled")
            quantise(path)
    finally:
        await context.close()


async def take_all(names: list[str]) -> None:
    """Takes these pictures, one after the other."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM") or shutil.which("chromium"),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        for name in names:
            await take(browser, name)
        await browser.close()


def main() -> None:
    """Takes the pictures that are named, or all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", choices=[[], *SHOTS], default=[], metavar="NAME")
    # A session that fails is logged, and one is to.
    logging.disable()
    anyio.run(take_all, parser.parse_args().names or [*SHOTS])


if __name__ == "__main__":
    main()
