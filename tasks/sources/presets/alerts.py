"""Alerts and errors: Sentry, Alertmanager, PagerDuty."""

from __future__ import annotations

from typing import Any, Literal
from urllib.parse import quote

from pydantic import Field, HttpUrl

from agent.domain.values import Name
from tasks.sources.base import Detail, HttpSource, Preset, Reading, Secret

_EVENT_SHOWN = (
    "{message: message, culprit: culprit, release: release.version, tags: tags, "
    "exceptions: entries[?type == 'exception'].data.values[].{type: type, value: value, "
    "frames: stacktrace.frames[-8:].{file: filename, line: lineNo, function: function, context: context}}}"
)


class SentrySource(Preset):
    """The issues of a Sentry project that are not resolved. One more event makes none new, an escalation does."""

    type: Literal["sentry"] = "sentry"
    url: HttpUrl = HttpUrl("https://sentry.io")
    organization: str = Field(min_length=1)
    project: str = Field(min_length=1)
    query: str = Field(default="is:unresolved", description="As in Sentry's own search.")
    token: Name = Field(description="The secret that has the auth token.")

    def endpoint(self) -> HttpSource:
        """Return the HTTP endpoint of the project's issues."""
        api = f"{str(self.url).rstrip('/')}/api/0"
        project = f"{quote(self.organization, safe='')}/{quote(self.project, safe='')}"
        event = f"{api}/organizations/{quote(self.organization, safe='')}/issues/{{id}}/events/latest/"
        return HttpSource.model_validate(
            {
                "url": f"{api}/projects/{project}/issues/?query={quote(self.query, safe='')}&limit=100",
                "headers": {"authorization": Secret(secret=self.token, prefix="Bearer ")},
                "details": [
                    Detail.model_validate({"name": "latest_event", "url": event, "items": "[@]", "show": _EVENT_SHOWN})
                ],
            }
        )

    def reading(self) -> Reading:
        """Return what makes items of the issues; from 100 events on, a digit more is an escalation."""
        return Reading(
            key="id",
            fingerprint="[title, level, contains(['escalating', 'regressed'], substatus || '') && substatus, "
            "max([length(to_string(count || '')), `2`])]",
            title="title",
            link="permalink",
            date="firstSeen",
            show="{id: shortId, title: title, culprit: culprit, level: level, platform: platform, "
            "project: project.slug, status: status, substatus: substatus, priority: priority, type: metadata.type, "
            "value: metadata.value, events: count, users: userCount, first_seen: firstSeen, last_seen: lastSeen, "
            "assigned_to: assignedTo.name}",
        )


class AlertmanagerSource(Preset):
    """The alerts that fire on an Alertmanager, without those that are silenced or inhibited."""

    type: Literal["alertmanager"] = "alertmanager"
    url: HttpUrl = Field(description="The Alertmanager, e.g. http://alertmanager:9093.")
    filter: list[str] = Field(default=[], description='Matchers, e.g. `severity="critical"`.')
    user: str | None = Field(default=None, description="For basic authentication; unset: a bearer token.")
    token: Name | None = Field(default=None, description="The secret that has the token or password.")

    def endpoint(self) -> HttpSource:
        """Return the HTTP endpoint of the alerts."""
        query = "active=true&silenced=false&inhibited=false&unprocessed=false"
        query += "".join(f"&filter={quote(matcher, safe='')}" for matcher in self.filter)
        headers: dict[str, Any] = {}
        if self.token is not None:
            prefix = "" if self.user else "Bearer "
            headers["authorization"] = Secret(secret=self.token, user=self.user, prefix=prefix)
        return HttpSource.model_validate(
            {"url": f"{str(self.url).rstrip('/')}/api/v2/alerts?{query}", "headers": headers}
        )

    def reading(self) -> Reading:
        """Return what makes items of the alerts: one that fires again is new, one that goes on firing is not."""
        return Reading(
            key="fingerprint",
            fingerprint="[labels, startsAt]",
            title="[labels.alertname, annotations.summary || annotations.description || labels.instance]",
            link="generatorURL",
            date="startsAt",
            group="labels.alertname",
            show="{labels: labels, annotations: annotations, starts_at: startsAt, state: status.state, "
            "receivers: receivers[].name}",
        )


class PagerDutySource(Preset):
    """The incidents of PagerDuty that are triggered or acknowledged."""

    type: Literal["pagerduty"] = "pagerduty"
    url: HttpUrl = HttpUrl("https://api.pagerduty.com")
    services: list[str] = Field(default=[], description="The ids of services; unset: all.")
    token: Name = Field(description="The secret that has the API key.")

    def endpoint(self) -> HttpSource:
        """Return the HTTP endpoint of the incidents."""
        api = str(self.url).rstrip("/")
        query = "statuses%5B%5D=triggered&statuses%5B%5D=acknowledged&limit=100"
        query += "".join(f"&service_ids%5B%5D={quote(service, safe='')}" for service in self.services)
        notes = {
            "name": "notes",
            "url": f"{api}/incidents/{{id}}/notes",
            "items": "notes",
            "show": "{author: user.summary, created_at: created_at, content: content}",
        }
        alerts = {
            "name": "alerts",
            "url": f"{api}/incidents/{{id}}/alerts",
            "items": "alerts",
            "show": "{summary: summary, severity: severity, created_at: created_at, details: body.details}",
        }
        return HttpSource.model_validate(
            {
                "url": f"{api}/incidents?{query}",
                "headers": {
                    "authorization": Secret(secret=self.token, prefix="Token token="),
                    "accept": "application/vnd.pagerduty+json;version=2",
                },
                "items": "incidents",
                "offset_parameter": "offset",
                "more": "more",
                "details": [Detail.model_validate(notes), Detail.model_validate(alerts)],
            }
        )

    def reading(self) -> Reading:
        """Return what makes items of the incidents."""
        return Reading(
            key="id",
            fingerprint="[title, urgency, priority.summary]",
            title="title",
            link="html_url",
            date="created_at",
            show="{number: incident_number, title: title, status: status, urgency: urgency, "
            "priority: priority.summary, service: service.summary, created_at: created_at, description: description, "
            "assigned_to: assignments[].assignee.summary, teams: teams[].summary}",
        )
