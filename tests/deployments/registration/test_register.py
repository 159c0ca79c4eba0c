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


def test_the_register_of_the_working_directory_counts(tmp_path: Path) -> None:
    (tmp_path / "prefect.yaml").write_text(GOOD)
    assert find_register(tmp_path) == tmp_path / "prefect.yaml"
    assert find_register(tmp_path / "elsewhere") == ROOT / "prefect.yaml"
