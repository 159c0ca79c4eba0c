"""Issues of Jira and Linear."""

from __future__ import annotations

from typing import Any, Literal
from urllib.parse import quote

from pydantic import Field, HttpUrl

from agent.domain.values import Name
from tasks.sources.base import HttpSource, Preset, Reading, Secret

_JIRA_FIELDS = "summary,description,issuetype,priority,status,reporter,assignee,labels,created,updated,comment"

_LINEAR_QUERY = """
query Triage($first: Int!, $after: String, $filter: IssueFilter) {
  issues(first: $first, after: $after, filter: $filter, orderBy: createdAt) {
    nodes {
      id identifier title description url createdAt priorityLabel state { name type } labels { nodes { name } }
      creator { name } assignee { name } comments(first: 20) { nodes { body createdAt user { name } } }
    }
    pageInfo { hasNextPage endCursor }
  }
}
"""


class JiraSource(Preset):
    """The issues that a JQL query finds on Jira Cloud, or on Jira Data Center (`cloud: false`)."""

    type: Literal["jira"] = "jira"
    url: HttpUrl = Field(description="The site, e.g. https://acme.atlassian.net.")
    jql: str = Field(min_length=1, description='e.g. `project = OPS AND statusCategory = "To Do"`.')
    user: str | None = Field(default=None, description="The account of an API token (Cloud); unset: a bearer token.")
    token: Name | None = Field(default=None, description="The secret that has the token.")
    cloud: bool = True

    def endpoint(self) -> HttpSource:
        """Return the HTTP endpoint of the search."""
        base = str(self.url).rstrip("/")
        # version 2 of the API gives descriptions as text, version 3 as a tree
        search = "search/jql" if self.cloud else "search"
        query = f"jql={quote(self.jql, safe='')}&fields={_JIRA_FIELDS}&maxResults=100"
        paging: dict[str, Any] = {"cursor": "nextPageToken", "cursor_parameter": "nextPageToken"}
        if not self.cloud:
            paging = {"offset_parameter": "startAt"}
        headers: dict[str, Any] = {}
        if self.token is not None:
            prefix = "" if self.user else "Bearer "
            headers["authorization"] = Secret(secret=self.token, user=self.user, prefix=prefix)
        return HttpSource.model_validate(
            {"url": f"{base}/rest/api/2/{search}?{query}", "headers": headers, "items": "issues", **paging}
        )

    def reading(self) -> Reading:
        """Return what makes items of the issues."""
        site = str(self.url).rstrip("/").replace("'", "")
        return Reading(
            key="key",
            fingerprint="[fields.summary, fields.description]",
            title="fields.summary",
            link=f"join('', ['{site}/browse/', key])",
            date="fields.created",
            show="{key: key, summary: fields.summary, type: fields.issuetype.name, priority: fields.priority.name, "
            "status: fields.status.name, reporter: fields.reporter.displayName, "
            "assignee: fields.assignee.displayName, labels: fields.labels, created: fields.created, "
            "description: fields.description, comments: fields.comment.comments[-20:].{author: author.displayName, "
            "created: created, body: body}}",
        )


class LinearSource(Preset):
    """The issues of a Linear team that nobody works on yet."""

    type: Literal["linear"] = "linear"
    url: HttpUrl = HttpUrl("https://api.linear.app/graphql")
    team: str = Field(min_length=1, description="The team's key, e.g. ENG.")
    states: list[str] = Field(default=["triage", "backlog", "unstarted"], description="The types of the states.")
    token: Name = Field(description="The secret that has the API key.")

    def endpoint(self) -> HttpSource:
        """Return the GraphQL endpoint with the query."""
        wanted = {"team": {"key": {"eq": self.team}}, "state": {"type": {"in": self.states}}}
        return HttpSource.model_validate(
            {
                "url": str(self.url),
                "method": "POST",
                "body": {"query": _LINEAR_QUERY, "variables": {"first": 50, "filter": wanted}},
                "headers": {"authorization": Secret(secret=self.token)},
                "items": "data.issues.nodes",
                "cursor": "data.issues.pageInfo.hasNextPage && data.issues.pageInfo.endCursor",
                "cursor_parameter": "variables.after",
            }
        )

    def reading(self) -> Reading:
        """Return what makes items of the issues."""
        return Reading(
            key="id",
            fingerprint="[title, description]",
            title="join(' ', [identifier, title])",
            link="url",
            date="createdAt",
            show="{identifier: identifier, title: title, state: state.name, priority: priorityLabel, "
            "labels: labels.nodes[].name, creator: creator.name, assignee: assignee.name, created: createdAt, "
            "description: description, comments: comments.nodes[].{author: user.name, created: createdAt, body: body}}",
        )
