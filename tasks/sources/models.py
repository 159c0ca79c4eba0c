"""All sources of a triage: list, folder, command, HTTP endpoint, mail, and the presets of known services."""

from __future__ import annotations

import shlex
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, JsonValue

from agent.domain.values import Name
from tasks.sources.base import HttpSource, Reading, Secret, SourceModel
from tasks.sources.expressions import Expression
from tasks.sources.presets.alerts import AlertmanagerSource, PagerDutySource, SentrySource
from tasks.sources.presets.forges import ForgejoSource, GiteaSource, GitHubSource, GitLabSource, IssuesSource
from tasks.sources.presets.pipelines import FeedSource, WoodpeckerSource
from tasks.sources.presets.trackers import JiraSource, LinearSource


def split_command(command: object) -> object:
    """Split a command line like a shell; a list stays as it is. No shell is started."""
    return shlex.split(command) if isinstance(command, str) else command


def refuse_way_out(path: str) -> str:
    """Return the path if it stays inside the workspace."""
    if path.startswith("/") or ".." in path.split("/") or "\0" in path:
        raise ValueError("must be a path inside the workspace")
    return path


InsidePath = Annotated[str, AfterValidator(refuse_way_out)]


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


Source = Annotated[
    ListSource
    | FolderSource
    | CommandSource
    | HttpSource
    | MailSource
    | ImapSource
    | IssuesSource
    | GitHubSource
    | ForgejoSource
    | GiteaSource
    | GitLabSource
    | JiraSource
    | LinearSource
    | SentrySource
    | AlertmanagerSource
    | PagerDutySource
    | WoodpeckerSource
    | FeedSource,
    Field(discriminator="type", title="Source"),
]
