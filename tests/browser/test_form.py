"""The form of a question: what is filled in by a person is what the schema's own type takes.

The schemas are pydantic's, and so is the verdict on what the form sends.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Annotated, Any, Literal

import pytest
from playwright.async_api import expect
from pydantic import AnyUrl, BaseModel, Field, SecretStr

from .desk import Desk, read

pytestmark = [pytest.mark.anyio, pytest.mark.browser]


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


async def test_fields_are_described_and_no_id_is_used_twice(desk: Desk) -> None:
    await desk.ask(Order, Order)
    for name in await desk.page.get_by_label("Name", exact=True).all():
        await expect(name).to_have_accessible_description("Who it is for")
    readers = desk.page.get_by_label("Readers", exact=True)
    await expect(readers.first).to_have_accessible_description("One per line")
    ids: list[str] = await desk.page.locator("form [id]").evaluate_all("all => all.map(n => n.id)")
    assert len(ids) > 4
    assert len(ids) == len(set(ids))
