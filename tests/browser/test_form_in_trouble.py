"""The form of a question where something is wrong: with what is typed, the answer or the schema."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from playwright.async_api import expect
from pydantic import BaseModel, Field

from .desk import Desk, read

pytestmark = [pytest.mark.anyio, pytest.mark.browser]


class Bounds(BaseModel):
    name: str = Field(max_length=5)
    zip: str = Field(pattern=r"\d{3}")
    user: str = Field("ada", pattern="^[a-z_-]+$")
    copies: int = Field(ge=1, le=9)
    mail: Annotated[str, Field(json_schema_extra={"format": "email"})]
    urgent: bool


async def test_what_is_wrong_is_not_sent_and_gets_the_focus(desk: Desk) -> None:
    await desk.ask(Bounds)
    attempts = {
        "Name": ["", "Ada"],
        "Zip": ["", "12", "D-123-x"],
        "Copies": ["", "0", "10", "1.5", "9"],
        "Mail": ["", "ada", "ada@example.com"],
    }
    for name, texts in attempts.items():
        for text in texts:
            await desk.field(name).fill(text)
            await desk.send.click()
            assert await desk.is_bad(desk.field(name)) == (text != texts[-1]), (name, text)
            assert await desk.sent() == []
    yes = desk.field("Urgent").get_by_label("Yes")
    assert await desk.is_bad(yes)
    await yes.check()
    assert read(Bounds, await desk.answer()).zip == "D-123-x"


async def test_no_more_can_be_typed_than_is_taken(desk: Desk) -> None:
    await desk.ask(Bounds)
    await desk.field("Name").press_sequentially("123456")
    await expect(desk.field("Name")).to_have_value("12345")


class Address(BaseModel):
    street: str


class Nested(BaseModel):
    title: str
    address: Address


async def test_what_is_no_json_is_told_and_gets_the_focus(desk: Desk) -> None:
    await desk.ask(Nested)
    await desk.field("Title").fill("kept")
    address = desk.field("address")
    await address.fill('{"street": ')
    await desk.send.click()
    await expect(desk.alert).to_have_text("This is no JSON.")
    await expect(address).to_be_focused()
    assert await desk.sent() == []
    await address.fill('{"street": "Main"}')
    assert read(Nested, await desk.answer()).address == Address(street="Main")
    await expect(desk.alert).to_have_text("")


async def test_a_refusal_is_shown_and_what_was_typed_stays(desk: Desk) -> None:
    await desk.ask(str)
    await desk.page.evaluate("refusal = 'It is <b>too</b> short.'")
    text = desk.page.get_by_role("textbox")
    await text.fill("x")
    await desk.send.click()
    await expect(desk.alert).to_have_text("It is <b>too</b> short.")
    await expect(text).to_have_value("x")
    await expect(desk.send).to_be_focused()
    await desk.page.evaluate("refusal = null")
    await text.fill("xy")
    await desk.send.click()
    assert await desk.sent() == ["x", "xy"]
    await expect(desk.alert).to_have_text("")


@pytest.mark.parametrize("schema", [str, bool])
async def test_a_form_that_sends_is_busy_and_sends_no_more(desk: Desk, schema: Any) -> None:
    await desk.ask(schema)
    await desk.page.evaluate("isHeld = true")
    if schema is str:
        await desk.page.get_by_role("textbox").fill("x")
    buttons = desk.page.get_by_role("button")
    await buttons.last.click()
    await expect(desk.form).to_have_attribute("aria-busy", "true")
    for button in await buttons.all():
        await expect(button).to_be_disabled()
        await button.dispatch_event("click")
    assert len(await desk.sent()) == 1
    # Refused, it can be used again; taken, it waits to be removed.
    await desk.page.evaluate("refusal = 'No.'; release()")
    await expect(desk.alert).to_have_text("No.")
    await buttons.last.click()
    await desk.page.evaluate("refusal = null; release()")
    await expect(desk.form).to_have_attribute("aria-busy", "true")
    assert len(await desk.sent()) == 2


async def test_markup_is_text(desk: Desk) -> None:
    hostile = "<img src=x onerror=alert(1)>"
    field = {"title": hostile, "description": hostile, "enum": [hostile, "b"]}
    await desk.ask({"type": "object", "properties": {"a": field, hostile: {}}}, prompt=hostile)
    await expect(desk.page.get_by_label(hostile).first).to_be_visible()
    await expect(desk.page.locator("img")).to_have_count(0)


class Node(BaseModel):
    children: list[Node] = []


# Expressions, because some are large.
NONSENSE = {
    "a circle": '{$ref: "#/$defs/A", $defs: {A: {$ref: "#/$defs/B"}, B: {$ref: "#/$defs/A"}}}',
    "a circle through null": """{
        $ref: "#/$defs/A",
        $defs: {A: {anyOf: [{$ref: "#/$defs/A"}, {type: "null"}]}},
    }""",
    "a reference to nothing": '{$ref: "#/$defs/A"}',
    "a reference that is none": "{$ref: 7}",
    "10 MB of choices": '{enum: Array.from({length: 1e5}, (_, n) => "x".repeat(100) + n)}',
    "10 MB of fields": """{
        type: "object",
        properties: Object.fromEntries(
            Array.from({length: 1e5}, (_, n) => ["x".repeat(100) + n, {}])
        ),
    }""",
    "a choice of 10 MB": '{enum: ["x".repeat(1e7), "y"]}',
    "choices that are a number": "{enum: 7}",
    "a field that is null": '{type: "object", properties: {a: null}}',
    "fields that are a text": '{type: "object", properties: "abc", required: 7}',
    "limits that are none": '{type: "array", items: [], minItems: {}}',
    "deep": """(() => {
        let schema = {type: "string"};
        for (let n = 0; n < 1e5; n++) schema = {type: "object", properties: {a: schema}};
        return schema;
    })()""",
    "a number": "7",
    "a text": '"abc"',
    "a list": "[1]",
    "false": "false",
}


@pytest.mark.parametrize("name", NONSENSE)
async def test_no_schema_breaks_the_form(desk: Desk, name: str) -> None:
    await desk.page.evaluate(f"show({{prompt: 'May I?', schema: {NONSENSE[name]}}})")
    for box in await desk.page.get_by_role("textbox").all():
        await box.fill('{"a": 1}')
    await desk.send.click()
    assert await desk.sent()


ODD_FIELDS = {
    "pattern": {"type": "string", "pattern": "(?P<x>[a-"},
    "limits": {"type": "string", "minLength": 9, "maxLength": -1},
    "bounds": {"type": "number", "minimum": "x", "maximum": []},
    "format": {"type": "string", "format": "telepathy"},
    "title": {"type": "string", "title": {"a": 1}, "description": ["b"]},
    "choices": {"enum": [None, {"a": 1}, ["b"], 1.5, "", "constructor"]},
}


@pytest.mark.parametrize("name", ODD_FIELDS)
async def test_an_odd_field_leaves_the_others_alone(desk: Desk, name: str) -> None:
    plain = {"type": "string", "title": "Plain"}
    await desk.ask({"type": "object", "properties": {"odd": ODD_FIELDS[name], "plain": plain}})
    await desk.field("Plain").fill("x")
    value = await desk.answer()
    assert value["plain"] == "x"


async def test_what_refers_to_itself_is_asked_for_as_json(desk: Desk) -> None:
    await desk.ask(Node)
    await desk.page.get_by_role("textbox").fill('[{"children": []}]')
    found = read(Node, await desk.answer())
    assert found == Node(children=[Node()])
