"""The register of deployments: what it may say, and that all of it loads."""

from pathlib import Path

import pytest

from deployments.registration.register import RegisterError, find_register, read_register

ROOT = Path(__file__).parents[3]

POOL = "work_pool: {name: agents}"

GOOD = """
deployments:
  - name: one
    entrypoint: flows.agent_run.agent_run
    work_pool: {name: agents}
"""


@pytest.mark.parametrize("path", [ROOT / "prefect.yaml", ROOT / "demo" / "prefect.yaml"])
def test_every_deployment_of_the_register_loads_for_real(path: Path) -> None:
    register = read_register(path)
    assert register.deployments
    for entry in register.deployments:
        assert entry.load_flow().fn.__module__.startswith("flows.")


def test_a_schedule_that_costs_money_waits_until_somebody_resumes_it() -> None:
    schedules = [schedule for entry in read_register(ROOT / "prefect.yaml").deployments for schedule in entry.schedules]
    assert schedules
    assert not any(schedule.active for schedule in schedules)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("flows.agent_run.agent_run", "flows.agent_run.nothing"), "one"),
        (("flows.agent_run.agent_run", "no.such.module"), "one"),
        (("name: one", "nom: one"), "name"),
        ((POOL, POOL + "\n    schedules: [{cron: never}]"), "one"),
        ((POOL, POOL + "\n    schedules: [{}]"), "exactly one"),
        ((POOL, POOL + "\n    parameters: {request: {agent: x}}\n    schedules: [{cron: 0 7 * * *}]"), "prompt"),
        (("deployments:", "deployments: {"), "cannot read"),
    ],
)
def test_a_register_with_a_mistake_is_refused_whole(tmp_path: Path, change: tuple[str, str], complaint: str) -> None:
    path = tmp_path / "prefect.yaml"
    path.write_text(GOOD.replace(*change))
    with pytest.raises(RegisterError, match=complaint):
        read_register(path)


TRIAGE = """
x: &shared
  agent: recruiter-triage
  max_items: 5

deployments:
  - name: issues
    entrypoint: flows.triage.triage
    work_pool: {name: triage}
    parameters:
      request:
        <<: *shared
        name: issues
        where: "user.type != 'Bot'"
        source:
          type: folder
          path: inbox
    schedules:
      - slug: daily
        cron: "0 7 * * *"
"""


@pytest.mark.parametrize(
    ("right", "slip", "at", "complaint"),
    [
        ("where:", "wher:", "wher:", "unknown member; did you mean `where`"),
        ("max_items:", "max_item:", "max_item:", "unknown member; did you mean `max_items`"),
        ("path: inbox", "pth: inbox", "pth:", "unknown member; did you mean `path`"),
        ("path: inbox", "path: /etc", "path:", "inside the workspace"),
        ("type: folder", "type: foldr", "source:", "foldr"),
        ("max_items: 5", "max_items: many", "max_items:", "valid integer"),
        ("!= 'Bot'", "!= 'Bot", "where:", "JMESPath"),
        ("slug: daily", "slug: daily\n        actve: false", "actve:", "actve"),
        ('cron: "0 7 * * *"', 'cron: "0 7 * *"', "cron:", "cron"),
        ('cron: "0 7 * * *"', "parameters: {request: {}}", "slug:", "exactly one"),
        ("max_items: 5", "max_cost_usd: 0.5", "request:", "no item could ever be handled"),
    ],
)
def test_a_slip_is_refused_with_its_line(tmp_path: Path, right: str, slip: str, at: str, complaint: str) -> None:
    path = tmp_path / "prefect.yaml"
    path.write_text(TRIAGE)
    read_register(path)
    text = TRIAGE.replace(right, slip)
    path.write_text(text)
    with pytest.raises(RegisterError) as caught:
        read_register(path)
    line = next(number for number, line in enumerate(text.splitlines(), start=1) if at in line)
    assert str(caught.value).startswith(f"{path}, line {line}: ")
    assert complaint in str(caught.value)


def test_a_misspelt_budget_of_an_agent_run_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "prefect.yaml"
    path.write_text(f"{GOOD}    parameters:\n      request: {{agent: x, prompt: y, max_budget: 0.1}}\n")
    with pytest.raises(RegisterError, match=r"line 7: .* request.max_budget: unknown member; did"):
        read_register(path)
    # what is missing may be added by whoever starts it
    path.write_text(f"{GOOD}    parameters: {{request: {{agent: x}}}}\n")
    read_register(path)


def test_the_register_of_the_working_directory_counts(tmp_path: Path) -> None:
    (tmp_path / "prefect.yaml").write_text(GOOD)
    assert find_register(tmp_path) == tmp_path / "prefect.yaml"
    assert find_register(tmp_path / "elsewhere") == ROOT / "prefect.yaml"
