"""Custom events as applications write them, for `agentprogress types`."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any, Literal

from pydantic import BaseModel, Field

from agentprogress import CustomEvent


class Side(Enum):
    BUY = "buy"
    SELL = "sell"


class Leg(BaseModel):
    """A part of an order, which may have parts itself."""

    symbol: str
    parts: list[Leg] = []


class Quote(CustomEvent, name="quote"):
    """What somebody asks for something.

    Attributes:
        price: In USD, None when
            nobody sells.
        at: When it was made.

    It is good for a minute.
    """

    price: Decimal | None
    at: datetime
    side: Side
    legs: list[Leg]
    venue: Literal["dark", "lit"] | str = "lit"
    spread: tuple[float, float] | None = None
    sizes: tuple[int, ...] = ()
    by_venue: dict[str, list[float | None]] = Field(default_factory=dict)
    by_side: dict[Side, int] = Field(default_factory=dict)
    extra: Any = None
    class_: str = Field(alias="asset-class", description="As */ the exchange calls it.")


class Usage(CustomEvent, name="usage/1"):
    tokens: int


class Ping(CustomEvent, name="ping"):
    pass
