"""Every command, option, make target and setting that the pages name is there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main
from pages import PAGES, ROOT, code, shell_blocks

from agent.settings import AgentSettings
from api.settings import ApiSettings
from cli.main import app
from deployments.settings import HostSettings
from store.settings import StoreSettings

SETTINGS = {
    name.upper()
    for settings in (AgentSettings, ApiSettings, HostSettings, StoreSettings)
    for name in settings.model_fields
}
# What stands for something of the reader's own, and what belongs to other programs.
PLACEHOLDERS = {"JOB_ID", "RUN_ID", "MODEL_NAME", "GIT_KEY"}
GITS = {
    "GIT_SSH_COMMAND",
    "GIT_SSL_CAINFO",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
}
OTHERS = GITS | {
    "AIOHTTP_CLIENT_TIMEOUT",
    "ENABLE_AUTOCOMPLETE_GENERATION",
    "ENABLE_FOLLOW_UP_GENERATION",
    "ENABLE_RETRIEVAL_QUERY_GENERATION",
    "ENABLE_TAGS_GENERATION",
    "ENABLE_TITLE_GENERATION",
    "TASK_MODEL_EXTERNAL",
    "ENABLE_OPENAI_API",
    "OPENAI_API_BASE_URL",
    "OPENAI_API_KEY",
    "GH_TOKEN",
    "CONFIG_DIR",
    "CANCEL_NEW",
    "RLIMIT_NPROC",
    "JSON_SCHEMA",
    "NO_COLOR",
    "SSH_AUTH_SOCK",
}
_COMMAND = re.compile(r"(?:^|/bin/|&& )agent-service ([a-z-][^|\n;)]*)", re.MULTILINE)
_MAKE = re.compile(r"(?:^|[\s(`])make ([a-z-]+)((?: [A-Z]+=\S+)*)", re.MULTILINE)
_NAME = re.compile(r"(?<![\w/.$-])[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+(?![\w-])")

ids = [page.name for page in PAGES]


def find_command(words: list[str]) -> tuple[Any, list[str]]:
    """The command that these words call, and the words that are left for it."""
    command: Any = typer.main.get_command(app)
    while words and words[0] in getattr(command, "commands", {}):
        load = getattr(command, "load", command.commands.get)
        command, words = load(words[0]), words[1:]
    return command, words


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_the_commands_of_a_page_are_there_with_their_options(page: Path) -> None:
    for text in code(page):
        for told in _COMMAND.findall(text.replace("\\\n", " ")):
            line = re.split(r"\s#|\s2?>|`", told)[0]
            words = re.sub(r"[\[\]…]", " ", line).replace("...", "").split()
            command, rest = find_command(words)
            assert words[0].startswith("-") or len(rest) < len(words), f"{page.name}: {told}"
            known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
            for word in rest:
                option = word.split("=")[0].rstrip(",:.")
                assert not option.startswith("--") or option in {*known, "--help", "-h"}, f"{page.name}: {told}"


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_the_make_targets_of_a_page_are_there_with_their_variables(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE))
    for text in code(page):
        for target, variables in _MAKE.findall(text):
            assert target in targets, f"{page.name}: make {target}"
            for variable in re.findall(r"([A-Z]+)=", variables):
                assert f"$({variable})" in makefile, f"{page.name}: make {target} {variable}="


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_the_settings_that_a_page_names_are_there(page: Path) -> None:
    known = SETTINGS | PLACEHOLDERS | OTHERS
    for text in code(page):
        for name in _NAME.findall(text):
            is_prefects = name.startswith(("PREFECT_", "XDG_"))
            assert name in known or is_prefects, f"{page.name}: {name} is no setting of the service"


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_the_blocks_of_a_page_are_shell(page: Path) -> None:
    for block in shell_blocks(page):
        for line in block.replace("\\\n", " ").splitlines():
            if not re.search(r"[({'\"]$|^\s|^['}]", line):  # what goes over several lines is tried by running it
                shlex.split(line, comments=True)
