"""What the pages under docs/ tell people to write is taken."""

import json
import re
from pathlib import Path

import yaml
from pydantic import TypeAdapter

from agent.settings import AgentSettings
from deployments.registration.register import read_register
from tasks.sources.models import Source
from tasks.triage.models import TriageRequest

DOCS = Path(__file__).parents[2] / "docs"


def test_the_triage_of_the_docs_is_a_register(tmp_path: Path) -> None:
    [example] = re.findall(r"```yaml\n(.*?)```", (DOCS / "triage.md").read_text(), re.DOTALL)
    path = tmp_path / "prefect.yaml"
    path.write_text(example)
    [entry] = read_register(path).deployments
    assert (entry.name, entry.parameters["request"]["source"]["type"]) == ("issues", "issues")
    assert [schedule.active for schedule in entry.schedules] == [False]


def test_every_kind_of_source_is_in_the_docs() -> None:
    page = (DOCS / "triage.md").read_text()
    kinds = set(re.findall(r"^\| `\{type: (\w+)", page, re.MULTILINE))
    assert kinds == set(TypeAdapter(Source).json_schema()["discriminator"]["mapping"])


def test_the_recipes_of_the_docs_are_triages() -> None:
    recipes = re.findall(r"```yml\n(.*?)```", (DOCS / "triage.md").read_text(), re.DOTALL)
    kinds = set()
    for recipe in recipes:
        request = TriageRequest.model_validate({"name": "x", "agent": "a", **yaml.safe_load(recipe)})
        kinds.add(request.source.type)
    others = {"issues", "command", "folder", "list"}
    assert kinds == set(TypeAdapter(Source).json_schema()["discriminator"]["mapping"]) - others


def test_the_workspaces_of_the_docs_are_workspaces() -> None:
    [example] = re.findall(r"WORKSPACES='(.*?)'", (DOCS / "workspaces.md").read_text(), re.DOTALL)
    settings = AgentSettings.model_validate({"workspaces": json.loads(example)})
    assert settings.workspace_names == ["default", "infra", "site"]
    assert settings.workspaces["infra"].post_checkout[0] == "git-crypt"


def test_what_the_pages_point_to_is_there() -> None:
    for page in DOCS.glob("*.md"):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (DOCS / target).exists(), f"{page.name} points to {target}"
