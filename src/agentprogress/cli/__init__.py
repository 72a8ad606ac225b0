"""The command line: parses arguments, chooses the job, and turns its ending into an exit status."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from .._version import __version__
from ._listen import DEFAULT_PORT, CannotServe
from ._serve import Ending, ServeOptions, serve

__all__ = ["main"]

_FAILED = 1
_MISUSED = 2
_BY_SIGNAL = 128
_MAX_TITLE_CHARS = 120


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command that the arguments name and returns its exit status.

    Args:
        argv: without the program's name; the process's own by default.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = _parser()
    own, command = _split(arguments)
    parsed = parser.parse_args(own)
    try:
        if parsed.name == "demo":
            return _play_demo(parser, parsed)
        return _run_command(parser, parsed, [*parsed.command, *command])
    except CannotServe as error:
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="agentprogress", description="Follow agents and long jobs in the browser and by curl."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="name", required=True, metavar="COMMAND")
    _add_demo(commands.add_parser("demo", help="a small crew of agents at work on real files"))
    _add_run(
        commands.add_parser(
            "run",
            help="any command as a session that can be followed",
            usage="agentprogress run [options] -- COMMAND...",
        )
    )
    return parser


def _add_demo(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "A small crew of agents reads the files of a folder and writes a report about them: "
        "phases, parallel agents, tool calls, text, an artifact and a result. The work is real and "
        "changes nothing; no model is asked."
    )
    parser.add_argument(
        "path",
        nargs="?",
        metavar="PATH",
        help="folder or file to read; the project's own by default",
    )
    parser.add_argument(
        "--pace",
        type=_seconds,
        default=0.2,
        metavar="SECONDS",
        help="pause added to each tool call so that people can follow; 0: full speed (%(default)s)",
    )
    parser.add_argument("--once", action="store_true", help="exit when the crew is done")
    _add_serving(parser)


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Runs a command and shows what it prints, line by line, to everybody who follows. A line "
        "redrawn by carriage returns is the progress message. The exit status is the command's. "
        "Ctrl-C ends the command's process group, by SIGTERM and 5 seconds later by SIGKILL. "
        "Python is told by PYTHONUNBUFFERED not to hold its output back."
    )
    parser.add_argument("command", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    parser.add_argument(
        "--quiet", action="store_true", help="do not print the command's output here"
    )
    parser.add_argument(
        "--linger",
        type=_seconds,
        metavar="SECONDS",
        help="go on serving for so long after the command has ended; 0 exits as soon as those who "
        "follow have been told (until Ctrl-C)",
    )
    _add_serving(parser)


def _add_serving(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument(
        "--port",
        type=_port,
        help=f"port to listen on; 0 is any free one ({DEFAULT_PORT}, or a free one if it is taken)",
    )
    parser.add_argument("--title", help="what the page is headed with")


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise ValueError(text)
    return value


def _port(text: str) -> int:
    value = int(text)
    if not 0 <= value < 1 << 16:
        raise ValueError(text)
    return value


def _play_demo(parser: argparse.ArgumentParser, parsed: argparse.Namespace) -> int:
    from ._demo import PLAN, Crew, default_root

    root = Path(parsed.path) if parsed.path else default_root()
    if not root.exists():
        parser.error(f"there is no {str(root)!r}")
    root = root.resolve()
    options = _serving(parsed, linger=0.0 if parsed.once else None)
    title = parsed.title or f"A crew reads {root.name or root}"
    ending = serve(Crew(root, parsed.pace), options, {"title": title, "plan": PLAN})
    return _interrupted(ending) or (0 if ending.status == "completed" else _FAILED)


def _run_command(
    parser: argparse.ArgumentParser, parsed: argparse.Namespace, words: list[str]
) -> int:
    if not words:
        parser.error("run needs a command: agentprogress run -- COMMAND...")
    if os.name != "posix":
        parser.error("run needs process groups, which this system does not have")
    from ._run import Command

    command = Command(words, quiet=parsed.quiet)
    title = parsed.title or shlex.join(words)[:_MAX_TITLE_CHARS]
    ending = serve(command, _serving(parsed, linger=parsed.linger), {"title": title})
    return _interrupted(ending) or command.exit_status or 0


def _serving(parsed: argparse.Namespace, linger: float | None) -> ServeOptions:
    return ServeOptions(host=parsed.host, port=parsed.port, linger=linger)


def _interrupted(ending: Ending) -> int:
    return 0 if ending.signal_number is None else _BY_SIGNAL + ending.signal_number
