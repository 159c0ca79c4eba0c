"""The dashboard and the alerts hold against Prometheus' own tool, and against the page that explains them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from observed_names import ALERTS, DASHBOARD, FOLDER, dashboard_queries, rules
from promtool import needs_promtool, promtool

OPERATING = Path(__file__).parents[3] / "docs" / "operating.md"


@needs_promtool
def test_the_alerting_rules_are_rules_and_fire_when_they_should() -> None:
    promtool("check", "rules", ALERTS)
    promtool("test", "rules", FOLDER / "alerts_test.yml")


@needs_promtool
def test_every_query_of_the_dashboard_is_one(tmp_path: Path) -> None:
    queries = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(dashboard_queries())]
    file = tmp_path / "dashboard.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": queries}]}))
    promtool("check", "rules", file)


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: str(rule["alert"]))
def test_every_alert_has_a_paragraph_that_says_what_to_do(rule: dict[str, object]) -> None:
    text = OPERATING.read_text()
    at = text.index(f"### {rule['alert']}\n")
    paragraph = text[at:].split("\n### ", 1)[0].split("\n## ", 1)[0]
    assert len(paragraph) > 200
    assert "`" in paragraph, "nothing to type"
    assert json.dumps(rule).count(f"docs/operating.md#{str(rule['alert']).lower()}") == 1


def test_the_page_explains_no_alert_that_there_is_not() -> None:
    explained = re.findall(r"^### (AgentService\w+)$", OPERATING.read_text(), re.MULTILINE)
    assert explained == [rule["alert"] for rule in rules()]


def test_no_two_panels_of_the_dashboard_lie_on_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
