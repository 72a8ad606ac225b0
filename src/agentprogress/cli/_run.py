"""`agentprogress run`: a command as a session's job. Output becomes events, its exit the end."""

from __future__ import annotations

import contextlib
import errno
import math
import os
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import Process

from .._wakeup import LoopRef, Wakeup
from ..errors import PublicError, SessionCancelled
from ..session import ProgressSession
from ..step import Step
from ._lines import Line, LineSplitter, clean_line
from ._output import Pen

__all__ = ["GRACE_SECONDS", "Command"]

NOT_FOUND = 127
NOT_STARTED = 126
BY_SIGNAL = 128

GRACE_SECONDS = 5.0
# What a command leaves running may hold its output open for ever.
_AFTER_EXIT_SECONDS = 1.0
# An unfinished line (a prompt, a row of dots) is shown when it has stood for so long.
_PAUSE_SECONDS = 0.25
_READ_BYTES = 64 * 1024
_FLUSH_LINES = 256


class Command:
    """Runs a command in a process group of its own; for POSIX.

    Args:
        command: its program and arguments.
        quiet: keeps its output from this process's own.
        watched: True when the session is shown here: nothing else is written.
        grace_seconds: from being asked to stop until being killed.

    Attributes:
        exit_status: as a shell would tell it; None until it is known.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        quiet: bool = False,
        watched: bool = False,
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        self.exit_status: int | None = None
        self._started = False
        self._command = list(command)
        self._name = Path(command[0]).name
        self._quiet = quiet or watched
        self._watched = watched
        self._grace_seconds = grace_seconds

    @property
    def worth_staying(self) -> bool:
        """False when it could not even be started."""
        return self._started

    async def __call__(self, session: ProgressSession) -> dict[str, Any]:
        """Runs it to its end.

        Raises:
            PublicError: it could not be started, or it failed.
            SessionCancelled: the session was asked to stop.
        """
        began = anyio.current_time()
        about = {"command": self._command, "directory": str(Path.cwd())}
        with session.step(self._name, input=about) as step:
            returncode = await self._run(session, step)
            self.exit_status = returncode if returncode >= 0 else BY_SIGNAL - returncode
            if session.cancel_requested:
                step.cancel(session.cancel_reason)
                raise SessionCancelled(session.id, session.cancel_reason)
            if returncode:
                raise PublicError(f"{self._name} {_ended(returncode)}.", code="exit_status")
        return {"exit_status": 0, "seconds": round(anyio.current_time() - began, 3)}

    async def _run(self, session: ProgressSession, step: Step) -> int:
        with contextlib.ExitStack() as pipes:
            (out, out_end), (err, err_end) = _pipe(pipes), _pipe(pipes)
            try:
                process = await self._start(out_end, err_end)
            finally:
                os.close(out_end)
                os.close(err_end)
            self._started = True
            pens = (None, None) if self._quiet else (_pen(pipes, 1), _pen(pipes, 2))
            readers = (
                _Reader(out, session, step, None, pens[0]),
                _Reader(err, session, step, "stderr", pens[1]),
            )
            try:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._end_when_cancelled, session, process.pid)
                    await _follow(process, readers)
                    tasks.cancel_scope.cancel()
            finally:
                if session.cancel_requested or process.returncode is None:
                    _signal_group(process.pid, signal.SIGKILL)
                with anyio.CancelScope(shield=True):
                    await process.wait()
            return await process.wait()

    async def _start(self, stdout: int, stderr: int) -> Process:
        # Python writes to a pipe in blocks, which would be seen late.
        environment = {"PYTHONUNBUFFERED": "1", **os.environ}
        try:
            return await anyio.open_process(
                self._command,
                stdin=None,
                stdout=stdout,
                stderr=stderr,
                env=environment,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise self._not_started(error) from error

    async def _end_when_cancelled(self, session: ProgressSession, group: int) -> None:
        requested = Wakeup(LoopRef())
        session.on_cancel(requested.set)
        await requested.event.wait()
        _signal_group(group, signal.SIGTERM)
        await anyio.sleep(self._grace_seconds)
        _signal_group(group, signal.SIGKILL)

    def _not_started(self, error: OSError | ValueError) -> PublicError:
        program = self._command[0]
        reason = getattr(error, "strerror", None) or str(error)
        code, self.exit_status = "command_not_started", NOT_STARTED
        if getattr(error, "errno", None) == errno.ENOENT:
            self.exit_status = NOT_FOUND
            if shutil.which(program) is None:
                code, reason = "command_not_found", "command not found"
        message = f"Cannot run {program!r}: {reason}."
        if not self._watched:  # else it shows as the session's error
            print(f"agentprogress: {message}", file=sys.stderr, flush=True)
        return PublicError(message, code=code)


async def _follow(process: Process, readers: Sequence[_Reader]) -> None:
    async with anyio.create_task_group() as tasks:
        for reader in readers:
            tasks.start_soon(reader.run)
        await process.wait()
        for reader in readers:
            reader.stop_by(anyio.current_time() + _AFTER_EXIT_SECONDS)


def _signal_group(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _pipe(stack: contextlib.ExitStack) -> tuple[int, int]:
    """Returns a pipe's ends; the stack closes the one that is read."""
    read, write = os.pipe()
    os.set_blocking(read, False)
    stack.callback(os.close, read)
    return read, write


def _pen(stack: contextlib.ExitStack, descriptor: int) -> Pen:
    return stack.enter_context(Pen(descriptor))


def _ended(returncode: int) -> str:
    if returncode > 0:
        return f"exited with status {returncode}"
    try:
        return f"was ended by {signal.Signals(-returncode).name}"
    except ValueError:
        return f"was ended by signal {-returncode}"


class _Reader:
    """Reads one of the command's outputs to its end.

    Args:
        pipe: its descriptor, not blocking.
        session: flushed, so that a fast command waits for those who follow it.
        step: gets the lines and the progress message.
        logger: the lines' source.
        passed_to: gets every byte as it is; None for none.
    """

    def __init__(
        self,
        pipe: int,
        session: ProgressSession,
        step: Step,
        logger: str | None,
        passed_to: Pen | None,
    ) -> None:
        self._pipe = pipe
        self._session = session
        self._step = step
        self._logger = logger
        self._passed_to = passed_to
        self._splitter = LineSplitter()
        self._lines = 0
        self._is_shown = False
        self._show_at = math.inf
        self._stop_at = math.inf
        self._waiting = anyio.CancelScope()

    async def run(self) -> None:
        """Reads until the end of the output, or until it may stop."""
        while (data := await self._read()) is not None:
            for line in self._splitter.feed(data):
                await self._emit(line)
            if self._splitter.open_line is None:
                self._show_at = math.inf
            elif self._show_at == math.inf:
                self._show_at = anyio.current_time() + _PAUSE_SECONDS
            await self._pass_on(data)
        if (rest := self._splitter.finish()) is not None:
            await self._emit(rest)

    def stop_by(self, when: float) -> None:
        """The command has ended: nothing is waited for after that time."""
        self._stop_at = when
        self._waiting.deadline = min(self._waiting.deadline, when)

    async def _read(self) -> bytes | None:
        """Returns what there is; None at the end, or when nothing comes in time."""
        while True:
            with contextlib.suppress(BlockingIOError):
                return os.read(self._pipe, _READ_BYTES) or None
            with anyio.CancelScope(deadline=min(self._show_at, self._stop_at)) as self._waiting:
                await anyio.wait_readable(self._pipe)
            if self._waiting.cancelled_caught:
                if anyio.current_time() >= self._stop_at:
                    return None
                self._show_open_line()

    def _show_open_line(self) -> None:
        self._show_at = math.inf
        line = self._splitter.open_line
        if line is not None:
            self._show(clean_line(line.text))

    async def _emit(self, line: Line) -> None:
        text = clean_line(line.text)
        if line.cut_bytes:
            text += f" [{line.cut_bytes:,} more bytes]"
        if line.redrawn:
            self._show(text)
        else:
            self._step.log(text, logger=self._logger)
            if self._is_shown:
                self._show(text)
                self._is_shown = False
        self._lines += 1
        if self._lines % _FLUSH_LINES == 0:
            await self._session.flush()
            await anyio.lowlevel.checkpoint()

    def _show(self, text: str) -> None:
        if text:
            self._step.update(message=text)
            self._is_shown = True

    async def _pass_on(self, data: bytes) -> None:
        if self._passed_to is not None:
            try:
                # A terminal that is paused blocks; everybody else goes on.
                await self._passed_to.write(data)
            except OSError:  # nobody reads it any more
                self._passed_to = None
