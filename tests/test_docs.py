"""The docs tell what the code says."""

from __future__ import annotations

from pathlib import Path

from scripts.settings_page import PAGE, render

ROOT = Path(__file__).parent.parent


def test_the_settings_page_lists_every_setting_as_it_is() -> None:
    assert PAGE.read_text(encoding="utf-8") == render()


def test_every_page_that_the_readme_links_to_exists() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    linked = [part.split(")")[0] for part in readme.split("](")[1:]]
    assert linked
    assert [name for name in linked if not (ROOT / name).exists()] == []
