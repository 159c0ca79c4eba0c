"""The parts that sources are described with: expressions, secrets, details of planned items, and the HTTP endpoint."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, HttpUrl, JsonValue, model_validator

from agent.domain.values import Name
from tasks.sources.expressions import Expression
from tasks.sources.strict import Strict


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
    group: Expression | None = None

    def joined(self, other: Reading) -> Reading:
        """Return these expressions with those of `other` in their place; both filters hold."""
        given = {name: value for name, value in other if value is not None}
        return self.model_copy(update={**given, "where": (*self.where, *other.where)})


class Secret(Strict):
    """A reference to a value in a file of SECRETS_DIR; the value itself is in no parameter."""

    secret: Name = Field(description="The file's name.")
    prefix: str = Field(default="", description="Put before the value, e.g. `Bearer `.")
    user: str | None = Field(default=None, description="Sent with this user as HTTP basic authentication.")


class Detail(Strict):
    """What is read for a planned item alone, e.g. its comments; the agent is shown it beside the item."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    url: str = Field(description="On the source's server; `{member}` stands for a JMESPath expression over the item.")
    items: Expression | None = Field(default=None, description="Where in the JSON the list is.")
    show: Expression | None = Field(default=None, description="What the agent is shown of each.")
    most: int = Field(default=20, ge=1, le=500, description="Of more, the last are shown.")


class SourceModel(Strict):
    """Base of the sources."""

    def reading(self) -> Reading:
        """Return the expressions that make items of the source's values."""
        return Reading()


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
    format: Literal["json", "feed"] = Field(default="json", description="`feed`: RSS or Atom.")
    details: list[Detail] = Field(default=[], description="What is read for planned items alone.")

    @model_validator(mode="after")
    def pages_in_one_way(self) -> HttpSource:
        """Refuse two ways to the next page, and a body that GET would not send."""
        ways = [name for name in ("cursor", "page_parameter", "offset_parameter") if getattr(self, name) is not None]
        if len(ways) > 1:
            raise ValueError(f"{' and '.join(ways)} are two ways to the next page; keep one")
        if self.body is not None and self.method == "GET":
            raise ValueError("body needs `method: POST`")
        return self


class Preset(SourceModel):
    """Base of the sources of known services: an endpoint, and how its values are read."""

    @abstractmethod
    def endpoint(self) -> HttpSource:
        """Return the HTTP endpoint of the service's API."""
