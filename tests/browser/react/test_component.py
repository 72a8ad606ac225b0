"""The component, and both parts on a server, on each version of React."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import expect

from tests.browser.site import Site

from .bundles import PACKAGE, Bundle
from .screen import Held, Screen

pytestmark = [pytest.mark.anyio, pytest.mark.browser]


async def test_the_component_makes_the_element_what_its_props_say(
    site: Site, screen: Screen
) -> None:
    with site.registry.open() as session:
        token = session.handle()["control_token"]
        props = {"name": "b", "src": site.url(session), "className": "wide", "style": {"margin": 4}}
        changed = {"transport": "sse", "readOnly": True, "labels": {"cancel": "Stop"}}
        await screen.show(elements=[{**props, **changed, "token": token}])
        element = screen.place("b")
        await expect(element).to_have_class("wide")
        await expect(element).to_have_css("margin-top", "4px")
        names = ["src", "transport", "readonly"]
        read = f"(element) => {names}.map((name) => element.getAttribute(name))"
        own = "({ readonly, labels, token }) => [readonly, labels, token]"
        assert (await element.evaluate(read))[:2] == [site.url(session), "sse"]
        assert await element.evaluate(own) == [True, {"cancel": "Stop"}, token]
        await screen.show(elements=[{**props, "src": None}])
        assert await element.evaluate(read) == [None, None, None]
        assert await element.evaluate(own) == [False, {}, None]


async def test_a_render_with_equal_labels_leaves_the_element_as_it_is(
    site: Site, screen: Screen
) -> None:
    with site.registry.open() as session:
        props = {"name": "b", "src": site.url(session), "labels": {"cancel": "Stop"}}
        await screen.show(elements=[props])
        await screen.until("document.querySelector('#b').client.getSnapshot().session")
        await screen.place("b").evaluate(
            "(element) => (element.shown = element.shadowRoot.firstChild)"
        )
        await screen.show(elements=[props])
        same = "(element) => element.shadowRoot.firstChild === element.shown"
        assert await screen.place("b").evaluate(same)


# On a server


@pytest.mark.parametrize("src", ["/sessions/s_1", "https://example.org/sessions/s_1"])
async def test_a_server_renders_idle_and_the_bare_element(bundle: Bundle, src: str) -> None:
    html = await bundle.render(
        {
            "hooks": [{"name": "a", "src": src}],
            "elements": [{"name": "b", "src": src, "readOnly": True, "className": "wide"}],
        }
    )
    assert 'data-state="idle"' in html
    attributes = dict(re.findall(r'([a-z]+)="([^"]*)"', html.partition("<agent-progress")[2]))
    assert attributes.pop("readonly") in ("", "true")
    assert attributes == {"id": "b", "src": src, "class": "wide"}
    assert html.endswith("></agent-progress>")


async def test_what_a_server_rendered_is_taken_over_without_a_warning(
    site: Site, screen: Screen
) -> None:
    with site.registry.open() as session:
        session.log("before")
        shown = {"src": site.url(session)}
        what = {
            "hooks": [{"name": "a", **shown}, {"name": "none", "src": None}],
            "elements": [{"name": "b", **shown, "readOnly": True, "className": "wide"}],
        }
        await screen.open(await screen.render(**what))
        await screen.page.evaluate("window.rendered = document.querySelector('#b')")
        await screen.hydrate(**what)
        await screen.until_lines("a", "before")
        await screen.until_state("a", "live")
        assert await screen.page.evaluate("rendered === document.querySelector('#b')")
        session.complete("done")
    for name in ("a", "b"):
        await screen.until(f"told.{name}.completed.length")
        assert len(await screen.told(name, "completed")) == 1
    # The element followed before it was taken over, and went on.
    assert len(site.joins) == 2


@pytest.mark.parametrize("result", ["short", "x" * 50_000], ids=["inline", "fetched"])
async def test_a_component_whose_element_was_done_before_it_is_told_the_end(
    site: Site, screen: Screen, result: str
) -> None:
    with site.registry.open() as session:
        session.complete(result)
    what = {"elements": [{"name": "b", "src": site.url(session)}]}
    await screen.open(await screen.render(**what))
    await screen.until("document.querySelector('#b').client.getSnapshot().session?.result")
    await screen.hydrate(**what)
    await screen.until("told.b?.completed.length")
    await screen.show(**what)
    (told,) = await screen.told("b", "completed")
    assert told["result"] == result


async def test_a_component_is_not_told_the_end_before_its_result_is_here(
    site: Site, screen: Screen
) -> None:
    with site.registry.open() as session:
        session.complete("x" * 50_000)
    what = {"elements": [{"name": "b", "src": site.url(session)}]}
    result = Held()
    await screen.page.route("**/result*", result.hold)
    await screen.open(await screen.render(**what))
    await result.asked.wait()
    await screen.hydrate(**what)
    # Twice, since hydration is done some time after it was asked for.
    await screen.show(**what)
    result.go_on.set()
    await screen.until("told.b?.completed.length")
    (told,) = await screen.told("b", "completed")
    assert told["result"] == "x" * 50_000


def test_the_file_is_for_clients_only() -> None:
    code = (PACKAGE / "react.js").read_text("utf-8")
    statements = [line for line in code.splitlines() if line and not line.startswith("//")]
    assert statements[0] == '"use client";'
