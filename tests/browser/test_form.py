"""The form of a question: what is filled in by a person is what the schema's own type takes.

The schemas are pydantic's, and so is the verdict on what the form sends.
"""

from __future__ import annotations

import json
import mimetypes
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, ConsoleMessage, Locator, Page, Route, expect
from pydantic import AnyUrl, BaseModel, Field, SecretStr, TypeAdapter

from .site import PACKAGE

pytestmark = [pytest.mark.anyio, pytest.mark.browser]

PAGES = Path(__file__).parent / "pages"

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


@pytest.fixture
async def desk(browser: Browser) -> AsyncIterator[Desk]:
    """A page under a strict content policy; anything that it complains of fails the test."""
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
    page = await context.new_page()
    await page.goto("http://form.test/form.html")
    try:
        yield Desk(page, complaints)
    finally:
        await context.close()
    assert complaints == []


class Tone(Enum):
    DRY = "dry"
    WARM = "warm"


class Priority(IntEnum):
    """How soon it is wanted."""

    LOW = 1
    MIDDLE = 2
    HIGH = 3
    HIGHER = 4
    HIGHEST = 5


class Address(BaseModel):
    street: str
    floors: int = 1


class Order(BaseModel):
    """One field of each kind."""

    name: str = Field(description="Who it is for", max_length=40)
    notes: str = Field(max_length=2000)
    copies: int = Field(ge=1, le=9)
    margin: float = Field(ge=0, title="Margin in cm")
    urgent: bool
    tone: Tone
    priority: Priority
    sections: list[Literal["intro", "risks", "outlook"]]
    readers: list[str]
    due: date
    meeting: datetime
    at: time
    mail: Annotated[str, Field(json_schema_extra={"format": "email"})]
    source: AnyUrl
    secret: SecretStr
    address: Address
    weights: dict[str, float]
    budget: Decimal


async def test_each_kind_of_field_gives_what_its_type_takes(desk: Desk) -> None:
    await desk.ask(Order)
    texts = {
        "Name": "Ada 🌍",
        "Notes": 'one\n<b>two</b> "three"',
        "Copies": "3",
        "Margin in cm": "2.125",
        "Readers": " Bo \n\nCy, and others",
        "Due": "2027-02-28",
        "Meeting": "2027-07-01T09:30",
        "At": "23:59",
        "Mail": "ada@example.com",
        "Source": "https://example.com/a?b=c",
        "Secret": "hunter2",
        "address": '{"street": "Main"}',
        "Weights": '{"a": 0.5}',
        "Budget": "12.50",
    }
    for name, text in texts.items():
        await desk.field(name).fill(text)
    await desk.choose("Urgent", "No")
    await desk.choose("tone", "warm")
    await desk.field("priority").select_option("4")
    await desk.choose("Sections", "outlook")
    await desk.choose("Sections", "intro")
    order = read(Order, await desk.answer())
    assert order == Order(
        name="Ada 🌍",
        notes='one\n<b>two</b> "three"',
        copies=3,
        margin=2.125,
        urgent=False,
        tone=Tone.WARM,
        priority=Priority.HIGHER,
        sections=["intro", "outlook"],
        readers=["Bo", "Cy, and others"],
        due=date(2027, 2, 28),
        # It was summer in Berlin.
        meeting=datetime(2027, 7, 1, 7, 30, tzinfo=UTC),
        at=time(23, 59),
        mail="ada@example.com",
        source=AnyUrl("https://example.com/a?b=c"),
        secret=SecretStr("hunter2"),
        address=Address(street="Main"),
        weights={"a": 0.5},
        budget=Decimal("12.5"),
    )


class Wishes(BaseModel):
    """All may be left out, in each way that pydantic knows."""

    comment: str = ""
    title: str | None = None
    pages: int | None = None
    sure: bool | None = None
    tone: Tone | None = None
    due: date | None = None
    tags: list[str] = []
    parts: list[Tone] = []
    extra: dict[str, int] | None = None
    anything: Any = None


async def test_what_is_left_empty_is_left_out(desk: Desk) -> None:
    await desk.ask(Wishes)
    value = await desk.answer()
    assert value == {}
    assert read(Wishes, value) == Wishes()


async def test_what_may_be_left_out_may_be_filled_in(desk: Desk) -> None:
    await desk.ask(Wishes)
    await desk.field("Title").fill("x")
    await desk.field("Pages").fill("0")
    await desk.field("Sure").select_option("No")
    await desk.field("tone").select_option("dry")
    await desk.choose("Parts", "warm")
    await desk.field("Anything").fill("[null]")
    wishes = read(Wishes, await desk.answer())
    assert wishes == Wishes(
        title="x", pages=0, sure=False, tone=Tone.DRY, parts=[Tone.WARM], anything=[None]
    )


class Defaults(BaseModel):
    count: int = 5
    ratio: float | None = 1.5
    is_public: bool = False
    tone: Tone = Tone.WARM
    priority: Priority | None = Priority.HIGH
    tags: list[str] = ["a", "b"]
    kind: Literal["order"] = "order"
    either: int | str = "x"
    address: Address = Address(street="Main", floors=2)


async def test_defaults_are_shown_and_sent(desk: Desk) -> None:
    await desk.ask(Defaults)
    await expect(desk.field("Tags")).to_have_value("a\nb")
    value = await desk.answer()
    assert value == Defaults().model_dump(mode="json")
    assert read(Defaults, value) == Defaults()


async def test_a_default_that_is_taken_away_does_not_come_back(desk: Desk) -> None:
    await desk.ask(Defaults)
    for name in ("Ratio", "Tags"):
        await desk.field(name).fill("")
    await desk.field("priority").select_option("")
    found = read(Defaults, await desk.answer())
    assert found == Defaults(ratio=None, tags=[], priority=None)


class Unset(BaseModel):
    """All must be there, and may be empty."""

    note: str | None
    tone: Tone | None
    tags: list[str]
    parts: list[Tone]


async def test_what_must_be_there_is_null_or_an_empty_list_when_left_empty(desk: Desk) -> None:
    await desk.ask(Unset)
    found = read(Unset, await desk.answer())
    assert found == Unset(note=None, tone=None, tags=[], parts=[])


class Approval(BaseModel):
    approved: bool


@pytest.mark.parametrize(
    ("schema", "choice", "value"),
    [
        (bool, "Yes", True),
        (bool, "No", False),
        (Approval, "No", {"approved": False}),
        (Tone, "warm", "warm"),
        (Literal[1, 2], "2", 2),
        (Literal["now", "later", "never"], "later", "later"),
    ],
)
async def test_a_few_choices_alone_are_buttons_that_answer_at_once(
    desk: Desk, schema: Any, choice: str, value: Any
) -> None:
    await desk.ask(schema)
    await expect(desk.send).to_have_count(0)
    await desk.page.get_by_role("button", name=choice, exact=True).click()
    assert await desk.sent() == [value]
    read(schema, value)


@pytest.mark.parametrize(
    ("schema", "typed", "value"),
    [
        (None, "42", "42"),
        (None, "two\nlines", "two\nlines"),
        (str, "x", "x"),
        (int, "-7", -7),
        (int, "9007199254740993", "9007199254740993"),
        (float, "1e3", 1000),
        (date, "2027-01-31", "2027-01-31"),
        (int | None, "", None),
        (str | None, "x", "x"),
        (list[str], "a\nb", ["a", "b"]),
        (list[int], "[1, 2]", [1, 2]),
        (dict[str, int], '{"a": 1}', {"a": 1}),
        (Address | None, '{"street": "x"}', {"street": "x"}),
        (int | str, '"7"', "7"),
        (Any, '{"a": []}', {"a": []}),
    ],
)
async def test_one_value_is_asked_for_alone(
    desk: Desk, schema: Any, typed: str, value: Any
) -> None:
    await desk.ask(schema, prompt="How many?")
    await desk.page.get_by_role("form").get_by_label("How many?").fill(typed)
    assert await desk.answer() == value
    if schema is not None:
        read(schema, value)


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


async def test_fields_are_described_and_no_id_is_used_twice(desk: Desk) -> None:
    await desk.ask(Order, Order)
    for name in await desk.page.get_by_label("Name", exact=True).all():
        await expect(name).to_have_accessible_description("Who it is for")
    readers = desk.page.get_by_label("Readers", exact=True)
    await expect(readers.first).to_have_accessible_description("One per line")
    ids: list[str] = await desk.page.locator("form [id]").evaluate_all("all => all.map(n => n.id)")
    assert len(ids) > 4
    assert len(ids) == len(set(ids))


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
