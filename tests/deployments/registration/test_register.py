"""The register of deployments: what it may say, and that all of it loads."""

from pathlib import Path

import pytest

from agent.settings import AgentSettings
from deployments.registration.parameters import request_check
from deployments.registration.register import RegisterError, find_register, read_register

ROOT = Path(__file__).parents[3]

GOOD = """
deployments:
  - name: one
    entrypoint: flows.agent_run.agent_run
    work_pool: {name: agents}
"""


EXAMPLE = ROOT / "docs" / "examples" / "prefect.yaml"


def test_a_stranger_gets_no_deployment_but_that_of_jobs() -> None:
    assert [entry.name for entry in read_register(ROOT / "prefect.yaml").deployments] == ["agent-run"]


@pytest.mark.parametrize("path", [ROOT / "prefect.yaml", ROOT / "demo" / "prefect.yaml", EXAMPLE])
def test_every_deployment_of_the_register_loads_for_real(path: Path) -> None:
    register = read_register(path)
    assert register.deployments
    for entry in register.deployments:
        assert entry.load_flow().fn.__module__.startswith("flows.")


def test_a_schedule_that_costs_money_waits_until_somebody_resumes_it() -> None:
    schedules = [schedule for entry in read_register(EXAMPLE).deployments for schedule in entry.schedules]
    assert schedules
    assert not any(schedule.active for schedule in schedules)


def written(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "prefect.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


AGENT_RUN = """\
deployments:
  - name: one
    entrypoint: flows.agent_run.agent_run
    work_pool: {name: agents}
    parameters: {request: {agent: x, prompt: y}}
"""

TRIAGE = """\
deployments:
  - name: inbox
    entrypoint: flows.triage.triage
    work_pool: {name: triage}
    parameters:
      request:
        name: inbox
        agent: x
        source:
          type: folder
          path: inbox
"""

SCHEDULE = "    schedules: [{cron: 0 7 * * *}]\n"
WITHOUT_PARAMETERS = AGENT_RUN.replace("    parameters: {request: {agent: x, prompt: y}}\n", "")


@pytest.mark.parametrize("text", [AGENT_RUN, TRIAGE, AGENT_RUN + SCHEDULE, TRIAGE + SCHEDULE, WITHOUT_PARAMETERS])
def test_a_register_without_a_mistake_is_read(tmp_path: Path, text: str) -> None:
    assert len(read_register(written(tmp_path, "\ufeff" + text.replace("\n", "\r\n"))).deployments) == 1


def agent_run(*lines: str) -> str:
    """A register with these lines at the end of its one deployment."""
    return AGENT_RUN + "".join(f"    {line}\n" for line in lines)


MISTAKES = [
    # what cannot be loaded
    (AGENT_RUN.replace("agent_run.agent_run", "agent_run.nothing"), 3, "deployment one: entrypoint: cannot be loaded"),
    (AGENT_RUN.replace("flows.agent_run", "no.such"), 3, "cannot be loaded: ModuleNotFoundError"),
    # members
    (AGENT_RUN.replace("name: one", "nom: one"), 2, "name"),
    (agent_run("max_budget: 1"), 6, "deployment one: max_budget: unknown member"),
    (agent_run("concurency_limit: 1"), 6, "did you mean `concurrency_limit`?"),
    (agent_run("schedules: [{cron: 0 7 * * *, activ: false}]"), 6, "did you mean `active`?"),
    (AGENT_RUN.replace("deployments:", "deployment:"), 1, "did you mean `deployments`?"),
    (
        AGENT_RUN.replace("prompt: y}", "prompt: y, max_budget: 0.1}"),
        5,
        "max_budget: unknown member; did you",
    ),
    (AGENT_RUN.replace("{request:", "{requests: 1, request:"), 5, "no parameter 'requests'"),
    (TRIAGE + "        max_item: 3\n", 12, "max_item: unknown member; did you mean `max_items`?"),
    (TRIAGE + "          patern: x\n", 12, "patern: unknown member; did you mean `pattern`?"),
    (AGENT_RUN.replace("    parameters", "    name: two\n    parameters"), 5, "name is there twice"),
    # names
    (AGENT_RUN + AGENT_RUN.partition("\n")[2], 6, "there are two deployments agent_run/one"),
    *(
        (AGENT_RUN.replace("name: one", f"name: {name}"), 2, "deployment")
        for name in ("a/b", "a?b", "a#b", "'50%'", "a&b", "a>b", "..", "' '", "' a'", "-a", '"a\\nb"', "a" * 201)
    ),
    (agent_run("schedules: [{cron: 0 7 * * *, slug: a}, {cron: 0 8 * * *, slug: a}]"), 6, "two schedules a"),
    (agent_run("schedules: [{cron: 0 7 * * *}, {cron: 0 8 * * *, slug: schedule-1}]"), 6, "two schedules schedule-1"),
    # pools and flows
    (AGENT_RUN.replace("name: agents", "name: agent"), 4, "wait in the"),
    (TRIAGE.replace("{name: triage}", "{name: triages}"), 4, "set it to triage"),
    (TRIAGE.replace("{name: triage}", "{name: agents}"), 4, "set it to triage"),
    (AGENT_RUN.replace("name: agents", "name: triage"), 4, "set it to agents"),
    # limits
    *(
        (agent_run(f"concurrency_limit: {limit}"), 6, "concurrency_limit")
        for limit in ("-1", "0", "true", "1.5", "many", "{limit: 0}", "{limit: 1, collision_strategy: WAIT}", "{}")
    ),
    # schedules
    *(
        (agent_run(f"schedules: [{schedule}]"), 6, "deployment one: schedules.0")
        for schedule in (
            *("{cron: never}", "{}", "{interval: 0}", "{interval: -5}", "{cron: 0 7 * * *, interval: 5}", "{rrule: x}"),
            *("{cron: 0 7 * * *, timezone: Europe/Bonn}", "{cron: 61 * * * *}", "{interval: .nan}"),
        )
    ),
    (WITHOUT_PARAMETERS + SCHEDULE, 5, "a run needs the parameter request: prompt, agent"),
    # requests
    (AGENT_RUN.replace(", prompt: y", "") + SCHEDULE, 5, "request.prompt: Field required"),
    (AGENT_RUN.replace("prompt: y", "prompt: y, max_budget_usd: 0"), 5, "request.max_budget_usd"),
    (AGENT_RUN.replace("prompt: y", "prompt: y, max_budget_usd: 7"), 5, "MAX_BUDGET_USD_LIMIT=5"),
    (AGENT_RUN.replace("prompt: y", "prompt: y, timeout_seconds: 90000"), 5, "MAX_TIMEOUT_SECONDS_LIMIT"),
    (AGENT_RUN.replace("prompt: y", "prompt: y, workspace: other"), 5, "no workspace 'other'"),
    (AGENT_RUN.replace("prompt: y", "prompt: y, json_schema: {type: objekt}"), 5, "json_schema"),
    (AGENT_RUN.replace("prompt: y", f"prompt: {'y' * 700_000}"), 5, "longer than Prefect's limit"),
    (agent_run("schedules: [{cron: 0 7 * * *, parameters: {request: {agent: x}}}]"), 6, "request.prompt"),
    (agent_run('description: "a\\0b"'), 6, "NUL"),
    # files
    ("", None, "no list of deployments"),
    ("- deployments\n", None, "no list of deployments"),
    ("deployments: {\n", 2, "cannot read"),
    ("a: &a [*a]\n", 1, "contains itself"),
    (b"deployments: \xff\n", 1, "not UTF-8"),
    ("deployments:\n\t- name: x\n", 2, "cannot read"),
]


@pytest.mark.parametrize(("text", "line", "complaint"), MISTAKES)
def test_a_register_with_a_mistake_is_refused_with_its_line(
    tmp_path: Path, text: str | bytes, line: int | None, complaint: str
) -> None:
    settings = AgentSettings(state_dir=tmp_path, max_budget_usd_limit=5)
    with pytest.raises(RegisterError) as refused:
        read_register(path := written(tmp_path, text), request_check(settings))
    said = str(refused.value)
    assert f"{path}, line {line}: " in said if line else f"{path}: " in said
    assert complaint in said
    assert "\n" not in said


def test_values_without_end_are_refused(tmp_path: Path) -> None:
    levels = ["l0: &l0 [1]", *(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 9))]
    with pytest.raises(RegisterError, match="expand to more than"):
        read_register(written(tmp_path, "\n".join(levels)))


def test_whatever_has_the_registers_name_is_meant_to_be_used(tmp_path: Path) -> None:
    (tmp_path / "prefect.yaml").mkdir()
    assert find_register(tmp_path) == tmp_path / "prefect.yaml"
    with pytest.raises(RegisterError, match="Is a directory"):
        read_register(tmp_path / "prefect.yaml")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "prefect.yaml").symlink_to("nowhere")
    with pytest.raises(RegisterError, match="No such file"):
        read_register(find_register(tmp_path / "other"))


MERGED = """
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
    path.write_text(MERGED)
    read_register(path)
    text = MERGED.replace(right, slip)
    path.write_text(text)
    with pytest.raises(RegisterError) as caught:
        read_register(path)
    line = next(number for number, line in enumerate(text.splitlines(), start=1) if at in line)
    assert str(caught.value).startswith(f"{path}, line {line}: ")
    assert complaint in str(caught.value)


def test_a_misspelt_budget_of_an_agent_run_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "prefect.yaml"
    path.write_text(f"{GOOD}    parameters:\n      request: {{agent: x, prompt: y, max_budget: 0.1}}\n")
    with pytest.raises(RegisterError, match=r"line 7: .*request.max_budget: unknown member; did"):
        read_register(path)
    # what is missing may be added by whoever starts it
    path.write_text(f"{GOOD}    parameters: {{request: {{agent: x}}}}\n")
    read_register(path)


def test_the_register_of_the_working_directory_counts(tmp_path: Path) -> None:
    (tmp_path / "prefect.yaml").write_text(GOOD)
    assert find_register(tmp_path) == tmp_path / "prefect.yaml"
    assert find_register(tmp_path / "elsewhere") == ROOT / "prefect.yaml"
