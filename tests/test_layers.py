from __future__ import annotations

from pathlib import Path

import pytest
from importlinter.application.use_cases import lint_imports
from importlinter.configuration import configure


def test_imports_point_down_the_layer_table_only(capsys: pytest.CaptureFixture[str]) -> None:
    configure()
    kept = lint_imports(
        config_filename=str(Path(__file__).parents[1] / "pyproject.toml"), cache_dir=None
    )
    assert kept, capsys.readouterr().out
