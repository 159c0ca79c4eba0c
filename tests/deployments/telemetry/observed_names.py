"""What the dashboard and the alerting rules ask Prometheus for."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parents[3] / "deployments" / "observability"
ALERTS = FOLDER / "alerts.yml"
DASHBOARD = FOLDER / "dashboard.json"

_NAME = re.compile(r"\b(?:agent_service|process)_[a-z0-9_]+")


def rules() -> list[dict[str, Any]]:
    """The alerts."""
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def dashboard_queries() -> list[str]:
    """The queries of all panels, with Grafana's variables filled in."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    queries = [target["expr"] for panel in panels for target in panel.get("targets", [])]
    return [query.replace("$__rate_interval", "5m").replace("$instance", ".*") for query in queries]


def asked_for() -> set[str]:
    """The names of all series that there must be."""
    queries = [*dashboard_queries(), *(rule["expr"] for rule in rules())]
    return {name for query in queries for name in _NAME.findall(query)}
