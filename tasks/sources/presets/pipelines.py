"""Failed pipelines of Woodpecker, and entries of RSS and Atom feeds."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, HttpUrl

from agent.domain.values import Name
from tasks.sources.base import Detail, HttpSource, Preset, Reading, Secret


class WoodpeckerSource(Preset):
    """The pipelines of a repository on Woodpecker CI that failed."""

    type: Literal["woodpecker"] = "woodpecker"
    url: HttpUrl
    repository_id: int = Field(ge=1, description="The number in the address of the repository's page.")
    token: Name = Field(description="The secret that has the personal access token.")
    max_pages: int = Field(default=4, ge=1, le=1000, description="Pages of 50 pipelines, the newest first.")

    def endpoint(self) -> HttpSource:
        """Return the HTTP endpoint of the repository's pipelines."""
        repository = f"{str(self.url).rstrip('/')}/api/repos/{self.repository_id}"
        steps = {
            "name": "failed_steps",
            "url": f"{repository}/pipelines/{{number}}",
            "items": "workflows[].children[] | [?state == 'failure' || state == 'error' || state == 'killed']",
            "show": "{name: name, state: state, exit_code: exit_code, error: error}",
        }
        return HttpSource.model_validate(
            {
                "url": f"{repository}/pipelines?page=1&perPage=50",
                "headers": {"authorization": Secret(secret=self.token, prefix="Bearer ")},
                "page_parameter": "page",
                "max_pages": self.max_pages,
                "details": [Detail.model_validate(steps)],
            }
        )

    def reading(self) -> Reading:
        """Return what makes items of the pipelines."""
        site = str(self.url).rstrip("/").replace("'", "")
        return Reading(
            where=("contains(['failure', 'error', 'killed'], status)",),
            key=f"join('', ['{self.repository_id}/', to_string(number)])",
            fingerprint="[status, commit]",
            title="join(' ', [to_string(number), branch || '', title || message || ''])",
            link=f"join('', ['{site}/repos/{self.repository_id}/pipeline/', to_string(number)])",
            date="created || created_at",
            show="{number: number, status: status, event: event, branch: branch, ref: ref, commit: commit, "
            "title: title, message: message, author: author, errors: errors, started: started, finished: finished}",
        )


class FeedSource(Preset):
    """The entries of an RSS or Atom feed."""

    type: Literal["rss"] = "rss"
    url: HttpUrl
    token: Name | None = Field(default=None, description="The secret that has a bearer token.")

    def endpoint(self) -> HttpSource:
        """Return the HTTP endpoint of the feed."""
        headers: dict[str, Any] = {"accept": "application/rss+xml, application/atom+xml, application/xml, text/xml"}
        if self.token is not None:
            headers["authorization"] = Secret(secret=self.token, prefix="Bearer ")
        return HttpSource.model_validate({"url": str(self.url), "headers": headers, "format": "feed"})

    def reading(self) -> Reading:
        """Return what makes items of the entries."""
        return Reading(key="id", fingerprint="[title, text]", title="title", link="link", date="date")
