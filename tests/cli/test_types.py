"""`agentprogress types`: an application's custom events for TypeScript."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agentprogress.browser._typescript import interface, type_of
from agentprogress.cli import main

MODULE = "tests.browser.events_of_an_application"

EXPECTED = """\
// Written by `agentprogress types tests.browser.events_of_an_application`: do not edit.

/**
 * What somebody asks for something.
 *
 * It is good for a minute.
 */
export interface Quote {
  /** In USD, null when nobody sells. */
  readonly price: string | null;
  /** When it was made. */
  readonly at: string;
  readonly side: Side;
  readonly legs: readonly Leg[];
  readonly venue: "dark" | "lit" | (string & {});
  readonly spread: readonly [number, number] | null;
  readonly sizes: readonly number[];
  readonly by_venue: { readonly [key: string]: readonly (number | null)[] };
  readonly by_side: { readonly [key in Side]?: number };
  readonly extra: unknown;
  /** As *\\/ the exchange calls it. */
  readonly "asset-class": string;
}

export interface Usage_ {
  readonly tokens: number;
}

export interface Ping {}

/** A part of an order, which may have parts itself. */
export interface Leg {
  readonly symbol: string;
  readonly parts: readonly Leg[];
}

export type Side = "buy" | "sell";

declare module "agentprogress" {
  interface CustomEvents {
    quote: Quote;
    "usage/1": Usage_;
    ping: Ping;
  }
}
"""


PING = "from agentprogress import CustomEvent\nclass Ping(CustomEvent, name='ping'): pass\n"


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Returns the sentence with which it fails."""
    assert main(["types", *arguments]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    return said.err.removeprefix("agentprogress: ").strip()


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "agentprogress.cli", "types", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_events_are_written_with_all_that_is_in_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["types", MODULE]) == 0
    assert capsys.readouterr().out == EXPECTED


def test_single_classes_may_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["types", f"{MODULE}:Ping", f"{MODULE}:Usage", f"{MODULE}:Ping"]) == 0
    written = capsys.readouterr().out
    assert '    ping: Ping;\n    "usage/1": Usage_;\n  }' in written
    assert "Quote" not in written.split("\n", 1)[1]


def test_a_file_is_written_anew_and_one_of_somebody_else_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "custom.d.ts"
    for _ in range(2):
        assert main(["types", MODULE, "--out", str(file)]) == 0
        assert file.read_text() == EXPECTED
        assert capsys.readouterr().out == f"{file}: 3 custom events (quote, usage/1, ping)\n"
    file.write_text("export {};\n")
    assert "was not written by this command" in told(capsys, MODULE, "--out", str(file))
    assert file.read_text() == "export {};\n"
    file.write_bytes(b"\xff\xfe")
    assert "cannot write" in told(capsys, MODULE, "--out", str(file))
    assert "cannot write" in told(capsys, MODULE, "--out", str(tmp_path / "no" / "where.d.ts"))


def test_modules_of_the_present_folder_are_found_with_all_that_they_import(tmp_path: Path) -> None:
    package = tmp_path / "shop"
    package.mkdir()
    declared = "from agentprogress import CustomEvent\nclass {0}(CustomEvent, name='{0}'): pass\n"
    (package / "__init__.py").write_text("from . import orders\nfrom theirs import Paid\n")
    (package / "orders.py").write_text(declared.format("Ordered"))
    (package / "unseen.py").write_text(declared.format("Unseen"))
    (tmp_path / "theirs.py").write_text(declared.format("Paid") + declared.format("Other"))
    done = run(tmp_path, "shop")
    assert done.returncode == 0, done.stderr
    assert "    Ordered: Ordered;\n    Paid: Paid;\n  }" in done.stdout
    assert "Other" not in done.stdout


def test_what_a_module_prints_does_not_get_into_the_types(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(f"print('warming up')\n{PING}")
    done = run(tmp_path, "app")
    assert (done.returncode, done.stderr) == (0, "warming up\n")
    assert done.stdout.startswith("// Written by")
    assert "warming up" not in done.stdout


@pytest.mark.parametrize("path", ["sys.path[:]", "sys.path"])
def test_a_module_may_take_its_folder_out_of_the_path(tmp_path: Path, path: str) -> None:
    rewritten = f"import os, sys\n{path} = [p for p in sys.path if p != os.getcwd()]\n"
    (tmp_path / "app.py").write_text(f"{rewritten}{PING}")
    done = run(tmp_path, "app")
    assert (done.returncode, done.stderr) == (0, "")
    assert "    ping: Ping;" in done.stdout


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("import missing_elsewhere", "No module named 'missing_elsewhere'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("class", "SyntaxError: invalid syntax"),
        ("import sys", "has no custom events"),
        ("import sys; sys.path.clear(); 1 / 0", "ZeroDivisionError: division by zero"),
    ],
)
def test_a_module_that_will_not_do_is_told_in_a_sentence(
    tmp_path: Path, text: str, sentence: str
) -> None:
    (tmp_path / "app.py").write_text(text)
    done = run(tmp_path, "app")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("agentprogress: app ")
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_what_is_not_there_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, "nowhere.events").startswith("there is no module 'nowhere'")
    assert "'tests.nowhere'" in told(capsys, "tests.nowhere")
    assert told(capsys, f"{MODULE}:Leg") == f"{MODULE} has no custom event 'Leg'."
    assert told(capsys, f"{MODULE}:Nothing") == f"{MODULE} has no custom event 'Nothing'."


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({}, "unknown"),
        ({"type": "null"}, "null"),
        ({"type": ["null", "integer"]}, "number | null"),
        ({"const": 'a "quoted" text'}, '"a \\"quoted\\" text"'),
        ({"const": {"a": 1}}, "unknown"),
        ({"enum": [1, "two", None, True]}, '1 | "two" | true | null'),
        ({"anyOf": [{"type": "string"}, {}]}, "unknown"),
        ({"anyOf": [{"type": "integer"}, {"type": "number"}]}, "number"),
        ({"anyOf": []}, "unknown"),
        (
            {"allOf": [{"$ref": "#/$defs/A"}, {"anyOf": [{"const": 1}, {"const": 2}]}]},
            "A & (1 | 2)",
        ),
        ({"$ref": "#/$defs/app.Box[int]"}, "app_Box_int_"),
        ({"$ref": "#/$defs/string"}, "string_"),
        ({"$ref": "#/$defs/1st"}, "_1st"),
        ({"type": "array"}, "readonly unknown[]"),
        ({"type": "array", "items": {"type": ["string", "null"]}}, "readonly (string | null)[]"),
        ({"type": "array", "items": {"type": "array"}}, "readonly (readonly unknown[])[]"),
        (
            {"type": "array", "prefixItems": [{"type": "string"}], "items": {"type": "null"}},
            "readonly [string, ...null[]]",
        ),
        (
            {"type": "array", "prefixItems": [{"type": "string"}], "maxItems": 1},
            "readonly [string]",
        ),
        ({"type": "object"}, "{ readonly [key: string]: unknown }"),
        ({"type": "object", "additionalProperties": False}, "{}"),
        ({"type": "something new"}, "unknown"),
    ],
)
def test_a_schema_says_no_more_in_typescript_than_it_does_in_json(
    schema: dict[str, Any], expected: str
) -> None:
    assert type_of(schema) == expected


def test_an_object_within_an_object_is_written_in_place() -> None:
    inner = {"type": "object", "properties": {"b": {"type": "null", "description": "No.\nNo."}}}
    outer = {"properties": {"a": inner}, "required": ["a"]}
    assert interface("Outer", outer) == (
        "export interface Outer {\n  readonly a: {\n    /**\n     * No.\n     * No.\n     */\n"
        "    readonly b?: null;\n  };\n}\n"
    )
