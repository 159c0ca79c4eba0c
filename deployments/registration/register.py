"""Reads and validates prefect.yaml."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from prefect import Flow
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.objects import ConcurrencyOptions
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule, RRuleSchedule
from prefect.flows import load_flow_from_entrypoint
from prefect.types.names import BANNED_CHARACTERS
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from agent.domain.request import AgentRequest
from agent.domain.values import Name, Text
from agent.system.text import shorten
from deployments.registration.parameters import (
    FLOW_POOLS,
    REQUESTS,
    Location,
    ParameterError,
    check_parameters,
    sealed_parameters,
)
from deployments.registration.yaml_document import YamlDocument, YamlError, read_yaml
from tasks.triage.models import TriageRequest

RequestCheck = Callable[[AgentRequest | TriageRequest], None]

PACKAGED = Path(__file__).parents[1] / "prefect.yaml"
"""The register inside the wheel; a source tree has it at its top."""


_TOP_LEVEL = ("name", "prefect-version", "build", "push", "pull", "definitions", "deployments")


class RegisterError(Exception):
    """The register cannot be used; nothing of it was applied. The message names the file, the line and the entry."""


def _check_object_name(name: str) -> str:
    # Prefect's client puts names into URLs as they are: behind ? or # nothing would be found again
    for character in (*BANNED_CHARACTERS, "?", "#", "\\"):
        if character in name:
            raise ValueError(f"{character!r} cannot stand in a name in Prefect")
    if name != name.strip():
        raise ValueError("has white space at an end")
    return name


ObjectName = Annotated[Name, AfterValidator(_check_object_name)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ScheduleEntry(_Entry):
    """A schedule of a deployment: exactly one of cron, interval (seconds) and rrule."""

    slug: ObjectName | None = None
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
        parameters = sealed_parameters(self.parameters)
        return DeploymentScheduleCreate(
            schedule=self._rule(), active=self.active, parameters=parameters, slug=self.slug
        )

    def _rule(self) -> CronSchedule | IntervalSchedule | RRuleSchedule:
        if self.cron is not None:
            return CronSchedule(cron=self.cron, timezone=self.timezone, day_or=self.day_or)
        if self.interval is not None:
            return IntervalSchedule.model_validate({"interval": self.interval, "timezone": self.timezone})
        return RRuleSchedule(rrule=str(self.rrule), timezone=self.timezone)


class LimitEntry(_Entry):
    """The number of runs of a deployment at once, and the strategy for a run past it."""

    limit: Annotated[int, Field(ge=1, le=2_147_483_647, strict=True)]
    collision_strategy: Literal["ENQUEUE", "CANCEL_NEW"] | None = None
    grace_period_seconds: Annotated[int, Field(ge=60, le=86_400)] | None = None


def _read_limit(value: object) -> object:
    """Parse `concurrency_limit`, which is a number or an object."""
    return value if value is None or isinstance(value, dict) else {"limit": value}


class PoolEntry(_Entry):
    """The work pool and the queue of a deployment's runs."""

    name: ObjectName
    work_queue_name: ObjectName | None = None
    job_variables: dict[str, Any] = {}


class DeploymentEntry(_Entry):
    """One deployment of prefect.yaml, as read by `read_register`."""

    name: ObjectName
    entrypoint: Text
    work_pool: PoolEntry
    description: Text | None = None
    version: Text | None = None
    tags: list[Text] = []
    parameters: dict[str, Any] = {}
    schedules: list[ScheduleEntry] = []
    concurrency_limit: Annotated[LimitEntry | None, BeforeValidator(_read_limit)] = None
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
        if self.concurrency_limit is None:
            return None, None
        options = self.concurrency_limit.model_dump(exclude={"limit"}, exclude_none=True)
        if not options:
            return self.concurrency_limit.limit, None
        return self.concurrency_limit.limit, ConcurrencyOptions.model_validate(
            {"collision_strategy": "ENQUEUE"} | options
        )


_MEMBERS = [name for model in (DeploymentEntry, ScheduleEntry, PoolEntry, LimitEntry) for name in model.model_fields]


class Register(BaseModel):
    """All deployments of prefect.yaml."""

    model_config = ConfigDict(extra="allow", frozen=True)

    deployments: list[DeploymentEntry]


def find_register(directory: Path) -> Path:
    """Return the path of the register: in `directory`, else at the top of a source tree, else in the wheel.

    Anything of that name in `directory` counts, also what cannot be read: it was meant to be used.
    """
    own = directory / "prefect.yaml"
    if own.exists() or own.is_symlink():
        return own
    return next((path for path in (PACKAGED.parents[1] / "prefect.yaml", PACKAGED) if path.is_file()), PACKAGED)


def read_register(path: Path, check_request: RequestCheck | None = None) -> Register:
    """Read the register at `path`, and check all that Prefect or a host would refuse. Raises RegisterError.

    `check_request` raises ValueError for a request that this host would refuse.
    """
    try:
        document = read_yaml(path)
    except YamlError as error:
        raise RegisterError(f"cannot read {_place(path, error.line)}: {error}") from None
    try:
        return _read(document, check_request)
    except _Refused as refused:
        where = _describe(document.value, refused.location)
        raise RegisterError(f"{_place(path, document.line(refused.location))}: {where}{refused}") from None


class _Refused(Exception):
    def __init__(self, location: Location, reason: str) -> None:
        super().__init__(reason)
        self.location = location


def _place(path: Path, line: int | None) -> str:
    return f"{path}, line {line}" if line else str(path)


def _describe(value: Any, location: Location) -> str:
    """Return the member's path, with a deployment by its name."""
    parts = list(location)
    if parts[:1] == ["deployments"] and len(parts) > 1:
        entry = value["deployments"][parts[1]]
        name = entry.get("name") if isinstance(entry, dict) else None
        parts[:2] = [f"deployment {shorten(name, 100) if isinstance(name, str) else parts[1]}"]
    return "".join(f"{part}: " for part in (parts[0], ".".join(map(str, parts[1:]))) if part) if parts else ""


def _read(document: YamlDocument, check_request: RequestCheck | None) -> Register:
    if not isinstance(document.value, dict):
        raise _Refused((), "it has no list of deployments")
    for name in document.value:
        if name not in _TOP_LEVEL and get_close_matches(str(name), ["deployments"], cutoff=0.8):
            raise _Refused((name,), "unknown member; did you mean `deployments`?")
    try:
        register = Register.model_validate(document.value)
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] == "extra_forbidden":
            near = get_close_matches(str(first["loc"][-1]), _MEMBERS, n=1)
            raise _Refused(first["loc"], "unknown member" + (f"; did you mean `{near[0]}`?" if near else "")) from None
        raise _Refused(first["loc"], first["msg"].removeprefix("Value error, ")) from None
    names: set[str] = set()
    for index, entry in enumerate(register.deployments):
        full_name = _check_entry(("deployments", index), entry, check_request)
        if full_name in names:
            raise _Refused(("deployments", index, "name"), f"there are two deployments {full_name}")
        names.add(full_name)
    return register


def _check_entry(at: Location, entry: DeploymentEntry, check_request: RequestCheck | None) -> str:
    try:
        flow = entry.load_flow()
    except Exception as error:  # what an import raises can be anything
        raise _Refused((*at, "entrypoint"), f"cannot be loaded: {type(error).__name__}: {error}") from error
    if flow.name not in REQUESTS:
        raise _Refused((*at, "entrypoint"), f"hosts run the flows {', '.join(REQUESTS)}, and not {flow.name}")
    pool = FLOW_POOLS[flow.name]
    if entry.work_pool.name != pool:
        raise _Refused(
            (*at, "work_pool", "name"), f"runs of {flow.name} wait in the work pool {pool}; set it to {pool}"
        )
    _check_schedules(at, entry)
    for here, parameters, whole in _parameter_sets(at, entry):
        try:
            request = check_parameters(flow.name, parameters, whole=whole)
            if request is not None and check_request is not None:
                check_request(request)
        except ParameterError as error:
            raise _Refused((*here, *error.location), str(error)) from None
        except ValueError as error:
            raise _Refused((*here, "request"), str(error)) from None
    return f"{flow.name}/{entry.name}"


def _check_schedules(at: Location, entry: DeploymentEntry) -> None:
    slugs: set[str | None] = set()
    for index, schedule in enumerate(entry.named_schedules()):
        here = (*at, "schedules", index)
        if schedule.slug in slugs:
            raise _Refused((*here, "slug"), f"there are two schedules {schedule.slug}")
        slugs.add(schedule.slug)
        try:
            schedule.build()
        except ValidationError as error:
            first = error.errors()[0]
            raise _Refused((*here, *first["loc"]), first["msg"].removeprefix("Value error, ")) from None
        except Exception as error:  # Prefect's checks raise what its libraries do
            raise _Refused(here, str(error)) from None


def _parameter_sets(at: Location, entry: DeploymentEntry) -> Iterator[tuple[Location, dict[str, Any], bool]]:
    """Yield the parameters of each kind of run; True for those of a schedule, to which nobody adds what is missing."""
    if entry.parameters:
        yield (*at, "parameters"), entry.parameters, False
    for index, schedule in enumerate(entry.schedules):
        here: Location = (*at, "schedules", index)
        own = (*here, "parameters") if schedule.parameters else (*at, "parameters") if entry.parameters else here
        yield own, entry.parameters | schedule.parameters, True
