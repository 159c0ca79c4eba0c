"""The models that the real CLI offers, asked without a key and without a network."""

from pathlib import Path

from agent.claude.installation import list_models, read_models
from agent.settings import AgentSettings


async def test_the_cli_lists_its_aliases_and_what_they_mean(tmp_path: Path) -> None:
    models = await list_models(AgentSettings(state_dir=tmp_path))
    assert {"haiku", "opus", "sonnet"} <= set(models)
    assert any(model.startswith("claude-sonnet-") for model in models)
    assert "default" not in models


def test_what_is_no_list_gives_none() -> None:
    assert read_models(b'not json\n{"type": "control_response", "response": {"error": "unknown"}}\n[1]\n') == []
