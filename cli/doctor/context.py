"""The settings and the environment that the checks examine, read as the service reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from agent.redaction.known_values import known_secrets
from agent.redaction.redactor import Redactor
from agent.settings import AgentSettings
from api.settings import ApiSettings
from deployments.settings import HostSettings, env_file_secrets, read_environment
from deployments.standalone.api_token import read_kept_token
from deployments.standalone.prefect_environment import prefect_home
from store.settings import StoreSettings

UNSET = ""


@dataclass(frozen=True)
class DoctorContext:
    """What the service would find, as far as this process shares it; made once per `doctor`."""

    agent: AgentSettings
    api: ApiSettings
    host: HostSettings
    store: StoreSettings
    environ: Mapping[str, str]

    @property
    def token(self) -> str:
        """The token that callers of the API send."""
        return self.api.api_bearer_token.get_secret_value() if self.api.api_bearer_token else UNSET

    @property
    def prefect_url(self) -> str | None:
        """The operator's Prefect server; None: `up` starts one, with a password of its own."""
        return self.environ.get("PREFECT_API_URL") or None

    @property
    def prefect_password(self) -> str:
        """The `user:password` of that server, if it is known here."""
        if self.prefect_url is not None:
            return self.environ.get("PREFECT_API_AUTH_STRING", UNSET)
        for name in ("PREFECT_SERVER_API_AUTH_STRING", "PREFECT_API_AUTH_STRING"):
            if self.environ.get(name):
                return self.environ[name]
        try:
            return (prefect_home(self.agent.state_dir) / "auth-string").read_text().strip()
        except OSError:
            return UNSET

    @property
    def home(self) -> Path:
        """The service's home directory."""
        return Path(self.environ.get("HOME") or Path.home())

    def redactor(self) -> Redactor:
        """Return a redactor of every secret that is known here."""
        secrets = [*known_secrets(self.agent, self.environ), *env_file_secrets(), self.token, self.prefect_password]
        headers = self.host.traces_headers.get_secret_value() if self.host.traces_headers else UNSET
        secrets += [headers, *(pair.partition("=")[2] for pair in headers.split(","))]
        secrets += [self.prefect_password.partition(":")[2], _password(self.store.database_url)]
        return Redactor(filter(None, secrets))


def read_world(environ: Mapping[str, str]) -> DoctorContext:
    """Read the settings of a service that is started here. Raises SettingsError."""
    agent = read_environment(AgentSettings)
    return DoctorContext(
        agent=agent,
        api=_read_api_settings(agent),
        host=read_environment(HostSettings),
        store=read_environment(StoreSettings),
        environ=environ,
    )


def _read_api_settings(agent: AgentSettings) -> ApiSettings:
    settings = read_environment(ApiSettings)
    kept = read_kept_token(agent.state_dir)
    if kept is None or (settings.api_bearer_token is not None and settings.api_bearer_token.get_secret_value()):
        return settings
    return settings.model_copy(update={"api_bearer_token": SecretStr(kept)})


def _password(database_url: str | None) -> str:
    try:
        return make_url(database_url).password or UNSET if database_url else UNSET
    except (ArgumentError, ValueError):
        return UNSET
