"""Reads and validates prefect.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, get_type_hints

import yaml
from prefect import Flow
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.objects import ConcurrencyOptions
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule, RRuleSchedule
from prefect.exceptions import ParameterTypeError, SignatureMismatchError
from prefect.flows import load_flow_from_entrypoint
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from deployments.registration.yaml_lines import find_line
from tasks.sources.strict import place_of_mistake, refuse_unknown_members

PACKAGED = Path(__file__).parents[1] / "prefect.yaml"
"""The register inside the wheel; a source tree has it at its top."""

_ABSENT = ("missing", "missing_argument")


class RegisterError(Exception):
    """The register cannot be used; nothing of it was applied. The message names the file and the entry."""


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ScheduleEntry(_Entry):
    """A schedule of a deployment: exactly one of cron, interval (seconds) and rrule."""

    slug: str | None = None
    cron: str | None = None
    interval: float | None = None
    rrule: str | None = None
    timezone: str = "UTC"
    day_or: bool = True
    active: bool = True
    parameters: dict[str, Any] = {}

    def build(self) -> DeploymentScheduleCreate:
        """Return Prefect's schedule. Raises ValueError for no rule, or two."""
        rules = [rule for rule in (self.cron, self.interval, self.rrule) if rule is not None]
        if len(rules) != 1:
            raise ValueError("a schedule has exactly one of cron, interval and rrule")
        return DeploymentScheduleCreate(
            schedule=self._rule(), active=self.active, parameters=self.parameters, slug=self.slug
        )

    def _rule(self) -> CronSchedule | IntervalSchedule | RRuleSchedule:
        if self.cron is not None:
            return CronSchedule(cron=self.cron, timezone=self.timezone, day_or=self.day_or)
        if self.interval is not None:
            return IntervalSchedule.model_validate({"interval": self.interval, "timezone": self.timezone})
        return RRuleSchedule(rrule=str(self.rrule), timezone=self.timezone)


class LimitEntry(_Entry):
    """The number of runs of a deployment at once, and the strategy for a run past it."""

    limit: Annotated[int, Field(ge=1)]
    collision_strategy: str = "ENQUEUE"


class PoolEntry(_Entry):
    """The work pool and the queue of a deployment's runs."""

    name: str
    work_queue_name: str | None = None
    job_variables: dict[str, Any] = {}


class DeploymentEntry(_Entry):
    """One deployment of prefect.yaml, as read by `read_register`."""

    name: str
    entrypoint: str
    work_pool: PoolEntry
    description: str | None = None
    version: str | None = None
    tags: list[str] = []
    parameters: dict[str, Any] = {}
    schedules: list[ScheduleEntry] = []
    concurrency_limit: int | LimitEntry | None = None
    paused: bool = False

    def named_schedules(self) -> list[ScheduleEntry]:
        """Return the schedules, each with a slug: by it Prefect tells a changed schedule from a new one."""
        return [
            schedule if schedule.slug else schedule.model_copy(update={"slug": f"schedule-{number}"})
            for number, schedule in enumerate(self.schedules, start=1)
        ]

    def load_flow(self) -> Flow[..., Any]:
        """Import and return the flow. Raises the error of the import."""
        return load_flow_from_entrypoint(self.entrypoint, use_placeholder_flow=False)

    def limit(self) -> tuple[int | None, ConcurrencyOptions | None]:
        """Return the limit and its options for Prefect."""
        if isinstance(self.concurrency_limit, LimitEntry):
            strategy = {"collision_strategy": self.concurrency_limit.collision_strategy}
            return self.concurrency_limit.limit, ConcurrencyOptions.model_validate(strategy)
        return self.concurrency_limit, None


class Register(BaseModel):
    """All deployments of prefect.yaml."""

    model_config = ConfigDict(extra="allow", frozen=True)

    deployments: list[DeploymentEntry]


def find_register(directory: Path) -> Path:
    """Return the path of the register: in `directory`, else at the top of a source tree, else in the wheel."""
    candidates = [directory / "prefect.yaml", PACKAGED.parents[1] / "prefect.yaml", PACKAGED]
    return next((path for path in candidates if path.is_file()), PACKAGED)


def read_register(path: Path) -> Register:
    """Read the register at `path` and try every schedule and flow in it. Raises RegisterError with the line."""
    try:
        text = path.read_text(encoding="utf-8")
        register = Register.model_validate(yaml.safe_load(text))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise RegisterError(f"cannot read {path}: {error}") from None
    except ValidationError as error:
        raise _mistake(path, text, (), error) from None
    for number, entry in enumerate(register.deployments):
        _check_entry(path, text, number, entry)
    return register


def _check_entry(path: Path, text: str, number: int, entry: DeploymentEntry) -> None:
    place: tuple[str | int, ...] = ("deployments", number)
    whose = f"deployment {entry.name}"
    try:
        flow = entry.load_flow()
        entry.limit()
        if entry.parameters:
            place = ("deployments", number, "parameters")
            # what is missing may be what a caller, or the form in Prefect's UI, adds
            _check_parameters(flow, entry.parameters, whole=False)
        for position, schedule in enumerate(entry.schedules):
            place = ("deployments", number, "schedules", position)
            whose = f"deployment {entry.name}, schedule {schedule.slug or position + 1}"
            schedule.build()
            place = ("deployments", number, *(("schedules", position) if schedule.parameters else ()), "parameters")
            if entry.parameters | schedule.parameters:
                _check_parameters(flow, entry.parameters | schedule.parameters)
    except ValidationError as error:
        raise _mistake(path, text, place, error, f"{whose}: ") from None
    except Exception as error:
        raise RegisterError(f"{_where(path, text, place)}: {whose}: {error}") from error


def _check_parameters(flow: Flow[..., Any], parameters: dict[str, Any], *, whole: bool = True) -> None:
    """Raise ValidationError for parameters that the flow does not take, unknown members included."""
    annotations = get_type_hints(flow.fn)
    for name, given in parameters.items():
        model = annotations.get(name)
        if isinstance(model, type) and issubclass(model, BaseModel) and isinstance(given, dict):
            refuse_unknown_members(model, given, name)
    try:
        flow.validate_parameters(parameters)
    except (ParameterTypeError, SignatureMismatchError) as error:
        # Prefect tells the mistake as text; pydantic's own error has its place
        cause = error.__context__
        if not isinstance(cause, ValidationError):
            raise
        if whole or any(one["type"] not in _ABSENT for one in cause.errors()):
            raise cause from None


def _mistake(
    path: Path, text: str, place: tuple[str | int, ...], error: ValidationError, whose: str = ""
) -> RegisterError:
    loc, reason = place_of_mistake(error)
    where = ".".join(str(part) for part in loc)
    return RegisterError(f"{_where(path, text, (*place, *loc))}: {whose}{where}: {reason}")


def _where(path: Path, text: str, place: tuple[str | int, ...]) -> str:
    line = find_line(text, place)
    return f"{path}, line {line}" if line is not None else str(path)
