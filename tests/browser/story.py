"""A session as it might be: a crew of agents writes a market report, and stops where it is told to.

It is told at its own pace: what happens is real, only when it happened is made up.
"""

from __future__ import annotations

import time
from typing import Literal

import anyio
from pydantic import BaseModel, Field

from agentprogress import ProgressSession, PublicError, Step
from agentprogress.abc import Clock

__all__ = ["Approval", "Crew", "StoryClock"]

PLAN = [
    {"name": "Research", "kind": "phase", "weight": 3, "step_id": "research"},
    {"name": "Analysis", "kind": "phase", "weight": 2, "step_id": "analysis"},
    {"name": "Writing", "kind": "phase", "weight": 3, "step_id": "writing"},
    {"name": "Review", "kind": "phase", "weight": 1, "step_id": "review"},
]

DRAFT = (
    "# Home batteries in Europe, 2026\n\n"
    "Installations grew by 31 % to 4.8 million units. Germany and Italy still account for more "
    "than half of them, but the fastest growth is in Poland and the Netherlands, where the end of "
    "net metering has made own use the only use that pays.\n\n"
    "## What drives it\n\n"
    "Cell prices fell below 60 € per kWh in spring, and installers report that the inverter is now "
    "the larger item on the invoice. Dynamic tariffs, offered in 21 of 27 member states, shorten "
    "the payback to "
)


QUESTION = (
    "The draft is ready: 14 pages, 17 sources, one figure with a single source.\n"
    "Publish it as it is?"
)


class StoryClock(Clock):
    """What time it is, is told; how long something takes is real.

    Attributes:
        now: seconds since 1970-01-01 UTC.
    """

    def __init__(self, now: float = 1_793_784_000.0) -> None:
        self.now = now

    def wall(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return time.monotonic()

    async def wait(self, event: anyio.Event, deadline: float | None) -> None:
        after = None if deadline is None else max(0.0, deadline - time.monotonic())
        with anyio.move_on_after(after):
            await event.wait()


class Approval(BaseModel):
    """What the editor wants of a person."""

    verdict: Literal["publish", "revise", "reject"]
    audience: Literal["board", "customers", "everyone", "press", "staff"]
    note: str | None = Field(None, max_length=500, description="Goes to the writer as it is")


class Crew:
    """A crew on one session, told up to the middle of its writing; then it goes on as it is asked.

    Args:
        clock: of the registry.
    """

    def __init__(self, clock: StoryClock) -> None:
        self._clock = clock
        self._how = ""
        self._asked = anyio.Event()
        self.writing = anyio.Event()
        self._rest: list[Step] = []

    def go_on(self, how: str) -> None:
        """Goes on: ``complete``, ``fail``, ``cancel``, ``ask``, ``suspend``."""
        self._how = how
        self._asked.set()

    async def report(self, session: ProgressSession) -> dict[str, object]:
        """Writes the report."""
        self._research(session)
        self._analyse(session)
        self._write(session)
        self.writing.set()
        await self._asked.wait()
        if self._how == "ask":
            await session.request_input(QUESTION, Approval)
        if self._how == "suspend":
            session.suspend(QUESTION, Approval, timeout=6 * 3600)
        if self._how == "fail":
            raise PublicError(
                "The model is over its quota until midnight.", "quota", retryable=True
            )
        if self._how == "cancel":
            session.request_cancel("The board meeting was moved.")
            session.raise_if_cancelled()
        return self._finish(session)

    def _after(self, seconds: float) -> None:
        self._clock.now += seconds

    def _research(self, session: ProgressSession) -> None:
        phase = session.phase("Research", step_id="research", total=18, unit="sources")
        session.log("Crew of 6 agents, budget 4.00 USD", logger="crew")
        planner = phase.agent("Planner")
        self._after(6.2)
        planner.log("Three questions: volumes, prices, rules", logger="planner")
        planner.complete()
        readers = {
            name: phase.agent(f"Researcher: {name}") for name in ("volumes", "prices", "rules")
        }
        for name, found in (("volumes", 8), ("prices", 6), ("rules", 4)):
            reader = readers[name]
            search = reader.tool("web_search", input={"q": f"home battery {name} Europe 2026"})
            self._after(1.9)
            search.complete(output=f"{found} hits")
            reader.log(f"{found} sources on {name}", logger="researcher", hits=found)
            for number in range(found):
                tool = reader.tool("read_page")
                self._after(2.4)
                if (name, number) == ("prices", 2):
                    tool.fail("403 Forbidden: paywall")
                    reader.log(
                        "A source is behind a paywall; skipped",
                        "warning",
                        logger="researcher",
                        status=403,
                    )
                else:
                    tool.complete()
                phase.advance()
            reader.complete()
        phase.artifact(
            "sources.bib",
            media_type="application/x-bibtex",
            url="https://files.example/sources.bib",
        )
        phase.complete()

    def _analyse(self, session: ProgressSession) -> None:
        phase = session.phase("Analysis", step_id="analysis")
        analyst = phase.agent("Analyst")
        tool = analyst.tool("run_python")
        self._after(11.3)
        tool.complete(output="ok")
        analyst.log("Growth 31 %, interval 28 to 34 %", logger="analyst", n=17)
        model = analyst.model("fable-large")
        self._after(8.1)
        model.complete()
        analyst.complete()
        table = "country,units,growth\nDE,1530000,0.27\nIT,1010000,0.22\nPL,420000,0.71\n"
        phase.artifact("table.csv", media_type="text/csv", data=table)
        phase.usage(
            model="fable-large",
            input_tokens=184_220,
            output_tokens=9_310,
            cost=1.62,
            currency="USD",
        )
        phase.complete()

    def _write(self, session: ProgressSession) -> None:
        phase = session.phase("Writing", step_id="writing", total=5, unit="sections")
        phase.advance(2, message="Section 3: what drives it")
        writer = phase.agent("Writer")
        checker = phase.agent("Fact checker")
        model = writer.model("fable-large")
        text = model.text(role="assistant", channel="answer")
        text.write(DRAFT)
        self._rest = [phase, writer, checker, model]
        self._text = text
        self._after(14.7)
        writer.log("Sections 1 and 2 done", logger="writer", words=412)
        done = checker.tool("lookup")
        self._after(3.2)
        done.complete()
        checker.log('"27 member states" confirmed', "debug", logger="checker")
        checker.log(
            "Could not confirm 60 € per kWh with a second source", "warning", logger="checker"
        )
        search = checker.tool("web_search", input={"q": "cell price EUR kWh 2026"})
        search.update(message="60 € per kWh 2026 cell price")
        self._rest.append(search)
        self._after(9.6)

    def _finish(self, session: ProgressSession) -> dict[str, object]:
        self._text.write("5.1 years on average.")
        self._text.complete()
        self._rest[0].advance(3, message="")
        self._after(31.5)
        for step in reversed(self._rest):
            step.complete()
        phase = session.phase("Review", step_id="review")
        editor = phase.agent("Editor")
        self._after(22.4)
        editor.log("Approved without changes", logger="editor")
        editor.usage(
            model="fable-large", input_tokens=61_040, output_tokens=2_470, cost=0.46, currency="USD"
        )
        editor.complete()
        phase.artifact(
            "report.pdf", media_type="application/pdf", url="https://files.example/report.pdf"
        )
        phase.complete()
        return {
            "title": "Home batteries in Europe, 2026",
            "pages": 14,
            "sources": 17,
            "cost": {"USD": 2.08},
        }
