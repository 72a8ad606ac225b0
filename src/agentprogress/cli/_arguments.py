"""The arguments of every command, and what is refused before anything is done."""

from __future__ import annotations

import argparse
import ssl
from pathlib import Path

from .._version import __version__
from ._listen import DEFAULT_PORT

__all__ = ["new_parser", "why"]


def new_parser() -> argparse.ArgumentParser:
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
    _add_serve(commands.add_parser("serve", help="the sessions of a store, to whoever may follow"))
    _add_follow(commands.add_parser("follow", help="a session of any server, in this terminal"))
    _add_doctor(commands.add_parser("doctor", help="what proxies and servers do to sessions"))
    _add_client(commands.add_parser("client", help="the browser package, into a folder"))
    _add_types(commands.add_parser("types", help="custom events for TypeScript"))
    for command in commands.choices.values():
        # What is refused later is told with the usage of the command that was asked for.
        command.set_defaults(parser=command)
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
    _add_job_options(parser)


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
        "--watch",
        action="store_true",
        help="show the session here instead of the command's output, which is in its log",
    )
    parser.add_argument(
        "--linger",
        type=_seconds,
        metavar="SECONDS",
        help="go on serving for so long after the command has ended; 0 exits as soon as those who "
        "follow have been told (until Ctrl-C)",
    )
    _add_job_options(parser)


def _add_serve(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Serves the sessions of a store that other processes write: events, pages, states, results "
        "and the page for people. It runs none itself, and any number may serve one store. Without "
        "keys it listens on this machine only, and whoever knows a generated id may follow it; "
        "with keys, tokens of agentprogress.jwt decide. Settings come from AGENTPROGRESS_… "
        "variables. SIGTERM and Ctrl-C tell those who follow to come back, and then end it."
    )
    parser.add_argument(
        "--store",
        metavar="URL",
        help="sqlite:///file.db, redis://host, rediss://host or unix:///socket (the variable "
        "AGENTPROGRESS_STORE, which keeps a password out of the list of processes)",
    )
    _add_address(parser)
    parser.add_argument(
        "--key-file",
        type=_readable,
        metavar="FILE",
        help="has the keys that verify tokens, one a line (the variable AGENTPROGRESS_KEY)",
    )
    parser.add_argument(
        "--algorithm",
        choices=("HS256", "HS384", "HS512"),
        default="HS256",
        help="what tokens are signed by (%(default)s)",
    )
    parser.add_argument(
        "--audience",
        default="agentprogress",
        help="the claim aud of tokens (%(default)s)",
    )
    parser.add_argument(
        "--allowed-origin",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="pages of this other origin may call, as https://app.example; may be repeated",
    )


def _add_follow(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Follows a session to its end, through every cut of the connection: in a terminal as a "
        "tree that is drawn in place, else as lines. The exit status is the session's outcome: 0 "
        "completed, 1 failed, 2 cancelled or lost; 3 when it could not be followed, and 130 after "
        "Ctrl-C, which stops following and not the session. (Arguments that cannot be understood "
        "are 2 too, with the usage.)"
    )
    parser.add_argument("url", metavar="URL", help="of the session, or of its page")
    parser.add_argument(
        "--json", action="store_true", help="print each event as it is on the wire, one a line"
    )
    parser.add_argument("--after", metavar="CURSOR", help="go on from there: <epoch>-<seq>")
    parser.add_argument(
        "--transport",
        choices=("auto", "websocket", "sse", "long-poll"),
        default="auto",
        help="how to be sent the events (%(default)s: the best one that gets through)",
    )
    _add_access(parser)
    parser.add_argument(
        "--max-attempts",
        type=_at_least_one,
        metavar="N",
        help="give up after so many attempts in a row that brought nothing (never)",
    )


def _add_doctor(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Looks at a server as its clients see it, through all that stands before it: who answers, "
        "whether WebSockets and event streams pass and are not held back, which pages may call, "
        "whether every worker has the session, and when silent streams are cut. Tells the line to "
        "change. It changes nothing itself. Exits with 0 when nothing failed, 1 when something "
        "did, and 3 when the server could not be reached."
    )
    parser.add_argument(
        "url",
        metavar="URL",
        help="of a session, best of one that is running, or of the mount, which shows less",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    _add_access(parser)
    parser.add_argument(
        "--origin", metavar="ORIGIN", help="of the pages that are to call (the server's own)"
    )
    parser.add_argument(
        "--requests",
        type=_at_least_one,
        default=20,
        metavar="N",
        help="how often to look for another worker (%(default)s)",
    )
    parser.add_argument(
        "--idle",
        type=_seconds,
        default=5.0,
        metavar="SECONDS",
        help="for how long to leave streams alone (%(default)s); 31 shows two heartbeats",
    )
    parser.add_argument(
        "--timeout",
        type=_seconds,
        default=10.0,
        metavar="SECONDS",
        help="the longest that another check may take (%(default)s)",
    )


def _add_client(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Writes the browser package into a folder: ES modules that pages import as they are, and "
        "that npm installs. A copy of another version is replaced; a folder with something else "
        "in it is left alone. (A server has the same modules under /client/.)"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where to")


def _add_types(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Imports modules of an application and writes, for TypeScript, what the custom events in "
        "them carry, so that pages get their data typed by name."
    )
    parser.add_argument(
        "modules",
        nargs="+",
        metavar="MODULE[:CLASS]",
        help="has subclasses of CustomEvent, itself or in what it imports from below it",
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="as custom-events.d.ts (standard output)"
    )


def _add_access(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--token-file",
        type=_readable,
        metavar="FILE",
        help="holds the bearer token; read again when the server wants another one (the variable "
        "AGENTPROGRESS_TOKEN)",
    )
    parser.add_argument(
        "--ca",
        type=_certificates,
        metavar="FILE",
        help="certificates to trust instead of the system's",
    )


def _add_job_options(parser: argparse.ArgumentParser) -> None:
    _add_address(parser)
    parser.add_argument(
        "--store",
        metavar="URL",
        help="put the session there and serve nothing here: agentprogress serve --store URL does",
    )
    parser.add_argument("--title", help="what the page is headed with")


def _add_address(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument(
        "--port",
        type=_port,
        help=f"port to listen on; 0 is any free one ({DEFAULT_PORT}, or a free one if it is taken)",
    )


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


def _at_least_one(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError(text)
    return value


def _readable(text: str) -> Path:
    path = Path(text)
    try:
        path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise argparse.ArgumentTypeError(f"cannot read {text!r}: {why(error)}") from error
    return path


def _certificates(text: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=text)
    except OSError as error:  # ssl's own errors are some too
        raise argparse.ArgumentTypeError(f"no certificates in {text!r}: {why(error)}") from error


def why(error: Exception) -> str:
    """Returns the system's words for an error, or the error's own."""
    return getattr(error, "strerror", None) or str(error)
