"""Every setting is documented, with its default and meaning, and none can hold a secret."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from api.settings import Settings

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "settings.md").read_text()
ROWS = dict(re.findall(r"^\| `TRELLIS_(\w+)` \| .+? \| (.+) \|$", PAGE, re.MULTILINE))


def test_every_setting_is_documented_and_every_documented_one_exists() -> None:
    described = {name.upper(): field.description for name, field in Settings.model_fields.items()}
    assert described == ROWS


def test_secrets_are_files() -> None:
    names = [name for name in Settings.model_fields if re.search(r"secret|password|key", name)]
    assert [name for name in names if not name.endswith("_file")] == []


def test_the_environment_sets_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRELLIS_CHAIN_TIMEOUT_S", "7")
    monkeypatch.setenv("TRELLIS_CORS_ORIGINS", '["https://app.example"]')
    found = Settings(_env_file=None)
    assert (found.chain_timeout_s, found.cors_origins) == (7.0, ("https://app.example",))
