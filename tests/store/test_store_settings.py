from __future__ import annotations

from pathlib import Path

from store.settings import StoreSettings, default_database_url
from store.store import open_store


async def test_the_default_store_is_a_file_under_any_state_directory(tmp_path: Path) -> None:
    state = tmp_path / "état with spaces, # and %20"
    async with open_store(default_database_url(state)):
        assert (state / "store.sqlite3").is_file()


def test_settings_do_not_show_the_password() -> None:
    assert "hunter2" not in repr(StoreSettings(database_url="postgresql://agents:hunter2@host/agents"))


def test_every_setting_says_what_it_is_for() -> None:
    assert all(field.description for field in StoreSettings.model_fields.values())
