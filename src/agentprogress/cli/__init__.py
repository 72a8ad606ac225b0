"""The command line: chooses what to do, and turns its ending into an exit status."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from ..errors import InvalidUrl
from ._addresses import session_url
from ._arguments import new_parser, why
from ._client import write_client
from ._job import JobOptions, Outcome, Watch, run_job
from ._listen import CannotServe
from ._output import have_streams
from ._types import CannotWrite, write_types

__all__ = ["main"]

_FAILED = 1
_BY_SIGNAL = 128
_COULD_NOT_FOLLOW = 3
_MAX_TITLE_CHARS = 120
_NEEDS_EXTRA = "This needs the command line's extra: pip install 'agentprogress[cli]'"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command that the arguments name and returns its exit status.

    Args:
        argv: without the program's name; the process's own by default.
    """
    have_streams()
    arguments = list(sys.argv[1:] if argv is None else argv)
    own, command = _split(arguments)
    parsed = new_parser().parse_args(own)
    parser: argparse.ArgumentParser = parsed.parser
    if parsed.name == "run":
        parsed.command += command
    try:
        return _COMMANDS[parsed.name](parser, parsed)
    except (CannotServe, CannotWrite) as error:
        print(f"agentprogress: {error}", file=sys.stderr)
        return _FAILED
    except KeyboardInterrupt:  # before or after the server's own handling of it
        return _BY_SIGNAL + 2


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Returns this program's arguments, and the command of `run` behind the first ``--``."""
    if arguments[:1] != ["run"] or "--" not in arguments:
        return arguments, []
    at = arguments.index("--")
    return arguments[:at], arguments[at + 1 :]


def _follow_session(parser: argparse.ArgumentParser, parsed: argparse.Namespace) -> int:
    try:
        from ._follow import follow_session
        from ._target import Target
    except ImportError as error:
        print(f"agentprogress: {_NEEDS_EXTRA} ({error.name} is missing)", file=sys.stderr)
        return _COULD_NOT_FOLLOW
    file: Path | None = parsed.token_file
    token = os.environ.get("AGENTPROGRESS_TOKEN", "").strip() or None
    target = Target(
        url=session_url(parsed.url),
        after=parsed.after,
        transport=parsed.transport,
        token=token if file is None else lambda: file.read_text().strip(),
        ssl_context=parsed.ca,
        max_attempts=parsed.max_attempts,
    )
    try:
        return follow_session(target, as_json=parsed.json)
    except InvalidUrl as error:
        parser.error(str(error))
    except OSError as error:
        print(f"agentprogress: cannot write: {why(error)}", file=sys.stderr)
        return _COULD_NOT_FOLLOW


def _examine(parser: argparse.ArgumentParser, parsed: argparse.Namespace) -> int:
    try:
        from .doctor._case import Question
        from .doctor._doctor import examine
    except ImportError as error:
        print(f"agentprogress: {_NEEDS_EXTRA} ({error.name} is missing)", file=sys.stderr)
        return _FAILED
    file: Path | None = parsed.token_file
    token = os.environ.get("AGENTPROGRESS_TOKEN", "") if file is None else file.read_text()
    try:
        question = Question.read(
            parsed.url,
            token=token.strip() or None,
            ssl_context=parsed.ca,
            origin=parsed.origin,
            requests=parsed.requests,
            idle=parsed.idle,
            timeout=parsed.timeout,
        )
    except ValueError as error:  # a URL, an origin or a token that cannot be
        parser.error(str(error))
    return examine(question, as_json=parsed.json)


def _play_demo(parser: argparse.ArgumentParser, parsed: argparse.Namespace) -> int:
    from ._demo import PLAN, Crew, default_root

    root = Path(parsed.path) if parsed.path else default_root()
    if not root.exists():
        parser.error(f"there is no {str(root)!r}")
    root = root.resolve()
    options = _job_options(parsed, linger=0.0 if parsed.once else None)
    title = parsed.title or f"A crew reads {root.name or root}"
    outcome = run_job(Crew(root, parsed.pace), options, {"title": title, "plan": PLAN})
    return _interrupted(outcome) or (0 if outcome.status == "completed" else _FAILED)


def _run_command(parser: argparse.ArgumentParser, parsed: argparse.Namespace) -> int:
    words: list[str] = parsed.command
    if not words:
        parser.error("run needs a command: agentprogress run -- COMMAND...")
    if os.name != "posix":
        parser.error("run needs process groups, which this system does not have")
    from ._run import Command

    watch = _watch() if parsed.watch else None
    command = Command(words, quiet=parsed.quiet, watched=parsed.watch)
    title = parsed.title or shlex.join(words)[:_MAX_TITLE_CHARS]
    outcome = run_job(command, _job_options(parsed, linger=parsed.linger), {"title": title}, watch)
    return _interrupted(outcome) or command.exit_status or 0


def _serve_store(parser: argparse.ArgumentParser, parsed: argparse.Namespace) -> int:
    from ._serve import Keys, ServeOptions, serve

    store = parsed.store or os.environ.get("AGENTPROGRESS_STORE")
    if not store:
        parser.error("serve needs a store: --store URL, or the variable AGENTPROGRESS_STORE")
    file: Path | None = parsed.key_file
    text = os.environ.get("AGENTPROGRESS_KEY", "") if file is None else file.read_text()
    secrets = [line.strip() for line in text.splitlines() if line.strip()]
    if file is not None and not secrets:
        parser.error(f"{str(file)!r} has no key")
    options = ServeOptions(
        store=store,
        host=parsed.host,
        port=parsed.port,
        keys=Keys(secrets=secrets, algorithm=parsed.algorithm, audience=parsed.audience),
        allowed_origins=parsed.allowed_origin,
    )
    number = serve(options)
    return _BY_SIGNAL + number if number else 0


def _write_client(parser: argparse.ArgumentParser, parsed: argparse.Namespace) -> int:
    write_client(parsed.out)
    return 0


def _write_types(parser: argparse.ArgumentParser, parsed: argparse.Namespace) -> int:
    write_types(parsed.modules, parsed.out)
    return 0


_COMMANDS = {
    "demo": _play_demo,
    "run": _run_command,
    "serve": _serve_store,
    "follow": _follow_session,
    "doctor": _examine,
    "client": _write_client,
    "types": _write_types,
}


def _watch() -> Watch:
    try:
        from ._watch import watch
    except ImportError as error:
        raise CannotServe(f"{_NEEDS_EXTRA} ({error.name} is missing)") from error
    return watch


def _job_options(parsed: argparse.Namespace, linger: float | None) -> JobOptions:
    return JobOptions(host=parsed.host, port=parsed.port, linger=linger, store=parsed.store)


def _interrupted(outcome: Outcome) -> int:
    return 0 if outcome.signal_number is None else _BY_SIGNAL + outcome.signal_number
