"""The source types of a triage: list, folder, command, HTTP endpoint, forge issues; and what they read."""

from __future__ import annotations

import shlex
from typing import Annotated, Literal
from urllib.parse import quote

from pydantic import AfterValidator, BeforeValidator, Field, HttpUrl, JsonValue, model_validator

from agent.domain.values import Name
from tasks.sources.expressions import Expression
from tasks.sources.strict import Strict

Forge = Literal["github", "forgejo", "gitea"]


ISSUE_SHOWN = (
    "{number: number, title: title, author: user.login, author_association: author_association, state: state, "
    "labels: labels[].name, assignees: assignees[].login, milestone: milestone.title, created_at: created_at, "
    "comments: comments, body: body}"
)
"""What the model is shown of an issue of GitHub, Forgejo or Gitea."""


def split_command(command: object) -> object:
    """Split a command line like a shell; a list stays as it is. No shell is started."""
    return shlex.split(command) if isinstance(command, str) else command


def refuse_way_out(path: str) -> str:
    """Return the path if it stays inside the workspace."""
    if path.startswith("/") or ".." in path.split("/") or "\0" in path:
        raise ValueError("must be a path inside the workspace")
    return path


InsidePath = Annotated[str, AfterValidator(refuse_way_out)]


def as_several(where: object) -> object:
    """Return one expression as a tuple of one; None as none."""
    if where is None:
        return ()
    return (where,) if isinstance(where, str) else where


class Reading(Strict):
    """The expressions that make items of values. A value is an item if each of `where` is true for it."""

    where: Annotated[tuple[Expression, ...], BeforeValidator(as_several)] = ()
    key: Expression | None = None
    fingerprint: Expression | None = None
    title: Expression | None = None
    link: Expression | None = None
    date: Expression | None = None
    show: Expression | None = None

    def joined(self, other: Reading) -> Reading:
        """Return these expressions with those of `other` in their place; both filters hold."""
        given = {name: value for name, value in other if value is not None}
        return self.model_copy(update={**given, "where": (*self.where, *other.where)})


class Secret(Strict):
    """A reference to a value in a file of SECRETS_DIR; the value itself is in no parameter."""

    secret: Name = Field(description="The file's name.")
    prefix: str = Field(default="", description="Put before the value, e.g. `Bearer `.")


class SourceModel(Strict):
    """Base of the sources."""

    def reading(self) -> Reading:
        """Return the expressions that make items of the source's values."""
        return Reading()


class ListSource(SourceModel):
    """Items written in the parameters."""

    type: Literal["list"] = "list"
    items: list[JsonValue]


class FolderSource(SourceModel):
    """The files of a folder in the workspace. Each is an item with `path`, `name`, `text`, `size`, `sha256`."""

    type: Literal["folder"] = "folder"
    path: InsidePath = Field(default=".", description="The folder, from the top of the workspace.")
    pattern: InsidePath = Field(default="*", description="Which files, e.g. `*.md`, or `**/*.md` for folders in it.")
    max_text_bytes: int = Field(default=100_000, ge=0, description="How much of a file is shown to the agent.")


class CommandSource(SourceModel):
    """The output of a command that runs in the workspace: JSON or JSON Lines."""

    type: Literal["command"] = "command"
    command: Annotated[list[str], BeforeValidator(split_command)] = Field(
        min_length=1, description="The program and its words; no shell reads them."
    )
    variables: dict[Name, Secret] = Field(default={}, description="Secrets in its environment.")
    items: Expression | None = Field(default=None, description="Where in the JSON the list is.")
    timeout_seconds: float = Field(default=60.0, gt=0, le=3600)
    max_bytes: int = Field(default=33_554_432, ge=1, le=268_435_456)


class HttpSource(SourceModel):
    """The answer of an HTTP endpoint, page by page: JSON or JSON Lines."""

    type: Literal["http"] = "http"
    url: HttpUrl
    method: Literal["GET", "POST"] = "GET"
    body: JsonValue = Field(default=None, description="JSON that a POST sends, e.g. a GraphQL query.")
    headers: dict[str, str | Secret] = {}
    items: Expression | None = Field(default=None, description="Where in the JSON the list is.")
    cursor: Expression | None = Field(
        default=None, description="Where in the JSON the next page's cursor or address is; unset: the Link header."
    )
    cursor_parameter: str = Field(
        default="cursor", description="The query parameter that takes the cursor; of a POST, the place in its body."
    )
    page_parameter: str | None = Field(default=None, description="The parameter that counts pages, e.g. `page`.")
    offset_parameter: str | None = Field(
        default=None, description="The parameter that counts the values before a page, e.g. `startAt`."
    )
    more: Expression | None = Field(
        default=None, description="True in the JSON of each page but the last, e.g. `!isLast`; unset: see the cursor."
    )
    max_pages: int = Field(default=20, ge=1, le=1000)
    max_bytes: int = Field(
        default=33_554_432, ge=1, le=268_435_456, description="The most that all pages together may weigh."
    )
    timeout_seconds: float = Field(default=30.0, gt=0, le=600, description="How long the server may send nothing.")

    @model_validator(mode="after")
    def pages_in_one_way(self) -> HttpSource:
        """Refuse two ways to the next page, and a body that GET would not send."""
        ways = [name for name in ("cursor", "page_parameter", "offset_parameter") if getattr(self, name) is not None]
        if len(ways) > 1:
            raise ValueError(f"{' and '.join(ways)} are two ways to the next page; keep one")
        if self.body is not None and self.method == "GET":
            raise ValueError("body needs `method: POST`")
        return self


MAIL_SHOWN = "{from: from, to: to, cc: cc, date: date, subject: subject, text: text, notes: notes}"
"""What the model is shown of a message; its attachments are named in its text, and lie beside it as files."""


class MailReading(SourceModel):
    """Base of the sources whose items are messages."""

    max_text_characters: int = Field(default=20_000, ge=100, description="How much of a message is shown to the agent.")
    max_messages: int = Field(default=1_000, ge=1, le=10_000, description="Of more, the newest are listed.")

    def reading(self) -> Reading:
        """Return what makes items of messages: a message does not change, it is another one."""
        return Reading(key="id", fingerprint="id", title="subject", date="date", show=MAIL_SHOWN)


class MailSource(MailReading):
    """The messages of a folder of .eml files, a Maildir or an mbox file in the workspace."""

    type: Literal["mail"] = "mail"
    path: InsidePath = Field(default=".", description="The folder or the mbox file, from the top of the workspace.")


class ImapSource(MailReading):
    """The messages of a mailbox on an IMAP server. None is changed, or marked as seen."""

    type: Literal["imap"] = "imap"
    host: Name
    port: int = Field(default=993, ge=1, le=65535)
    user: str = Field(min_length=1)
    password: Name = Field(description="The secret that has the password.")
    mailbox: str = "INBOX"
    days: int = Field(default=14, ge=1, le=3650, description="Messages that came in within so many days.")
    tls: bool = Field(default=True, description="False: for a server on this machine.")
    timeout_seconds: float = Field(default=60.0, gt=0, le=600)


class IssuesSource(SourceModel):
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
        base = str(self.url or "https://api.github.com").rstrip("/")
        query = "state=open&per_page=100" if self.forge == "github" else "state=open&type=issues&limit=50"
        if self.forge != "github":
            base = f"{base}/api/v1"
        elif base not in ("https://api.github.com", "https://github.com") and not base.endswith("/api/v3"):
            base = f"{base}/api/v3"
        if self.labels:
            query += f"&labels={quote(','.join(self.labels), safe=',')}"
        return HttpSource.model_validate(
            {
                "url": f"{base.replace('://github.com', '://api.github.com')}/repos/{self.repository}/issues?{query}",
                "headers": self._headers(),
                "max_pages": self.max_pages,
            }
        )

    def reading(self) -> Reading:
        """Return what makes items of the forge's issues; the model is shown a fifth of the forge's object."""
        return Reading(where=("!pull_request",), show=ISSUE_SHOWN)

    def _headers(self) -> dict[str, str | Secret]:
        headers: dict[str, str | Secret] = {"accept": "application/json"}
        if self.forge == "github":
            headers["accept"] = "application/vnd.github+json"
        if self.token is not None:
            prefix = "Bearer " if self.forge == "github" else "token "
            headers["authorization"] = Secret(secret=self.token, prefix=prefix)
        return headers


Source = Annotated[
    ListSource | FolderSource | CommandSource | HttpSource | IssuesSource | MailSource | ImapSource,
    Field(discriminator="type", title="Source"),
]
