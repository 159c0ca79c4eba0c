"""Issues of GitHub, Forgejo, Gitea and GitLab."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import quote

from pydantic import Field, HttpUrl, model_validator

from agent.domain.values import Name
from tasks.sources.base import Detail, HttpSource, Preset, Reading, Secret

Forge = Literal["github", "forgejo", "gitea"]

_ISSUE_SHOWN = (
    "{number: number, title: title, author: user.login, author_association: author_association, state: state, "
    "labels: labels[].name, assignees: assignees[].login, milestone: milestone.title, created_at: created_at, "
    "body: body}"
)
_COMMENT_SHOWN = "{author: user.login, created_at: created_at, body: body}"


class IssuesSource(Preset):
    """The open issues of a repository on GitHub, Forgejo or Gitea, without pull requests."""

    type: Literal["issues"] = "issues"
    forge: Forge = "github"
    url: HttpUrl | None = Field(default=None, description="The forge's address; unset: GitHub's own.")
    repository: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")] = Field(description="OWNER/NAME.")
    labels: list[str] = Field(default=[], description="Only issues that have all of these.")
    token: Name | None = Field(default=None, description="The secret that has the access token.")
    max_pages: int = Field(default=20, ge=1, le=1000)

    @model_validator(mode="after")
    def needs_an_address(self) -> IssuesSource:
        """Demand `url` for Forgejo and Gitea, which have no address of their own."""
        if self.url is None and self.forge != "github":
            raise ValueError(f"url is needed for {self.forge}")
        return self

    def endpoint(self) -> HttpSource:
        """Return the HTTP endpoint of the forge's API."""
        repository = f"{self._api()}/repos/{self.repository}"
        query = "state=open&per_page=100" if self.forge == "github" else "state=open&type=issues&limit=50"
        if self.labels:
            query += f"&labels={quote(','.join(self.labels), safe=',')}"
        comments = {"name": "comments", "url": f"{repository}/issues/{{number}}/comments", "show": _COMMENT_SHOWN}
        return HttpSource.model_validate(
            {
                "url": f"{repository}/issues?{query}",
                "headers": self._headers(),
                "max_pages": self.max_pages,
                "details": [Detail.model_validate(comments)],
            }
        )

    def reading(self) -> Reading:
        """Return what makes items of the forge's issues; the model is shown a fifth of the forge's object."""
        return Reading(where=("!pull_request",), show=_ISSUE_SHOWN)

    def _api(self) -> str:
        base = str(self.url or "https://api.github.com").rstrip("/")
        if self.forge != "github":
            return f"{base}/api/v1"
        if base not in ("https://api.github.com", "https://github.com") and not base.endswith("/api/v3"):
            return f"{base}/api/v3"
        return base.replace("://github.com", "://api.github.com")

    def _headers(self) -> dict[str, str | Secret]:
        headers: dict[str, str | Secret] = {"accept": "application/json"}
        if self.forge == "github":
            headers["accept"] = "application/vnd.github+json"
        if self.token is not None:
            prefix = "Bearer " if self.forge == "github" else "token "
            headers["authorization"] = Secret(secret=self.token, prefix=prefix)
        return headers


class GitHubSource(IssuesSource):
    """The open issues of a repository on GitHub, or GitHub Enterprise by its `url`."""

    type: Literal["github"] = "github"  # type: ignore[assignment]
    forge: Literal["github"] = "github"


class ForgejoSource(IssuesSource):
    """The open issues of a repository on Forgejo, e.g. Codeberg."""

    type: Literal["forgejo"] = "forgejo"  # type: ignore[assignment]
    forge: Literal["forgejo"] = "forgejo"


class GiteaSource(IssuesSource):
    """The open issues of a repository on Gitea."""

    type: Literal["gitea"] = "gitea"  # type: ignore[assignment]
    forge: Literal["gitea"] = "gitea"


class GitLabSource(Preset):
    """The open issues of a project on GitLab."""

    type: Literal["gitlab"] = "gitlab"
    url: HttpUrl = Field(default=HttpUrl("https://gitlab.com"), description="The address of a GitLab of your own.")
    project: str = Field(min_length=1, description="GROUP/NAME, or the project's number.")
    labels: list[str] = Field(default=[], description="Only issues that have all of these.")
    token: Name | None = Field(default=None, description="The secret that has the access token.")

    def endpoint(self) -> HttpSource:
        """Return the HTTP endpoint of the project's issues."""
        project = f"{str(self.url).rstrip('/')}/api/v4/projects/{quote(self.project, safe='')}"
        labels = f"&labels={quote(','.join(self.labels), safe=',')}" if self.labels else ""
        notes = {
            "name": "comments",
            "url": f"{project}/issues/{{iid}}/notes?sort=asc&per_page=100",
            "items": "[?!system]",
            "show": "{author: author.username, created_at: created_at, body: body}",
        }
        headers = {"private-token": Secret(secret=self.token)} if self.token is not None else {}
        return HttpSource.model_validate(
            {
                "url": f"{project}/issues?state=opened&scope=all&per_page=100{labels}",
                "headers": headers,
                "details": [Detail.model_validate(notes)],
            }
        )

    def reading(self) -> Reading:
        """Return what makes items of the project's issues."""
        return Reading(
            key="web_url || id",
            fingerprint="[title, description]",
            show="{number: iid, title: title, author: author.username, state: state, labels: labels, "
            "assignees: assignees[].username, milestone: milestone.title, created_at: created_at, due_date: due_date, "
            "confidential: confidential, description: description}",
        )
