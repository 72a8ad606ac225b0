"""A page with answer forms, under a strict content policy, and what they send."""

from __future__ import annotations

import json
import mimetypes
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import Browser, ConsoleMessage, Locator, Page, Route
from pydantic import TypeAdapter

from .site import PACKAGE

__all__ = ["Desk", "opened_desk", "read"]

PAGES = Path(__file__).parent / "pages"
PAGE = "http://form.test/form.html"

# Nothing inline, nothing from elsewhere, and no form may go anywhere.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; form-action 'none'; "
    "require-trusted-types-for 'script'"
)


class Desk:
    """A page with forms, and what they sent."""

    def __init__(self, page: Page, complaints: list[str]) -> None:
        self.page = page
        self.complaints = complaints
        self.form = page.locator("form")
        self.alert = page.get_by_role("alert")
        self.send = page.get_by_role("button", name="Send")

    async def begin_anew(self) -> None:
        """Loads the page again: nothing is left of what was before."""
        self.complaints.clear()
        await self.page.goto(PAGE)

    async def ask(self, *schemas: Any, prompt: str = "May I?") -> None:
        """Shows a form for each schema: a type, or a JSON Schema, true or not."""
        requests = [
            {
                "request_id": f"rq_{number}",
                "prompt": prompt,
                "schema": json_schema(schema),
                "expires_at": None,
            }
            for number, schema in enumerate(schemas)
        ]
        await self.page.evaluate("(text) => show(...JSON.parse(text))", json.dumps(requests))

    def field(self, name: str) -> Locator:
        """A control or a group of them."""
        return self.page.get_by_label(name, exact=True)

    def choose(self, group: str, choice: str) -> Any:
        """Checks one of some boxes."""
        return self.field(group).get_by_label(choice, exact=True).check()

    async def sent(self) -> list[Any]:
        """All that was sent."""
        texts: list[str] = await self.page.evaluate("sent")
        return [json.loads(text) for text in texts]

    async def answer(self) -> Any:
        """Presses Send; returns what was sent, the only thing that ever was."""
        await self.send.click()
        (value,) = await self.sent()
        return value

    async def is_bad(self, field: Locator) -> bool:
        """Whether the browser takes a field for wrong, and has gone to it."""
        found: bool = await field.evaluate(
            "(node) => !node.validity.valid && node.getRootNode().activeElement === node"
        )
        return found


def json_schema(schema: Any) -> Any:
    if schema is None or isinstance(schema, dict | list | str | int):
        return schema
    return TypeAdapter(schema).json_schema()


def read(schema: Any, value: Any) -> Any:
    """Reads a value as the session does: from JSON, by the type that was asked for."""
    return TypeAdapter(schema).validate_json(json.dumps(value))


async def _serve(route: Route) -> None:
    name = urlsplit(route.request.url).path.lstrip("/")
    path = PACKAGE / name.removeprefix("client/") if name.startswith("client/") else PAGES / name
    kind, _ = mimetypes.guess_type(path)
    headers = {"Content-Security-Policy": POLICY, "Content-Type": f"{kind}; charset=utf-8"}
    await route.fulfill(body=path.read_bytes(), headers=headers)


@asynccontextmanager
async def opened_desk(browser: Browser) -> AsyncGenerator[Desk]:
    """Opens an empty page that takes note of what the browser complains of."""
    context = await browser.new_context(timezone_id="Europe/Berlin", locale="en-GB")
    context.set_default_timeout(20_000)
    await context.route("http://form.test/**", _serve)
    complaints: list[str] = []
    context.on("weberror", lambda error: complaints.append(str(error.error)))

    def heard(message: ConsoleMessage) -> None:
        # Advice on passwords is no complaint.
        if message.type in ("error", "warning"):
            complaints.append(message.text)

    context.on("console", heard)
    try:
        yield Desk(await context.new_page(), complaints)
    finally:
        await context.close()
