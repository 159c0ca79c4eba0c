"""Directives: what a prompt tells the offline model to do, step by step (README.md has the whole syntax).

offline-model: [{"tool": "Bash", "input": {"command": "ls"}}, {"text": "There are: {tool_result}"}]
"""

import json
import re
from functools import lru_cache
from hashlib import sha256
from typing import Any, Literal

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

KEYWORD = "offline-model:"
STRING_CONTENT = re.compile(r'(?:[^"\\]+|\\.)*', re.DOTALL)
ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


class DirectiveError(ValueError):
    """A directive that cannot be followed: not JSON, or not steps."""


class ToolCall(BaseModel, frozen=True, extra="forbid"):
    """A call of one tool."""

    tool: str
    input: dict[str, Any] = {}


class Failure(BaseModel, frozen=True, extra="forbid"):
    """An error answer in the API's own envelope; `type` follows from the status unless given."""

    status: int = 529
    type: str = ""
    message: str = "The offline model was told to fail."
    headers: dict[str, str] = {}

    @property
    def error_type(self) -> str:
        """The API's name for this error."""
        return self.type or ERROR_TYPES.get(self.status, "api_error")


class StepUsage(BaseModel, frozen=True, extra="forbid"):
    """Token counts that replace the computed ones."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None


class Repeat(BaseModel, frozen=True, extra="forbid"):
    """A text of `bytes` bytes, made by repeating `text`."""

    bytes: int = Field(ge=0, le=100_000_000)
    text: str = Field(default="offline ", min_length=1)


class ScriptStep(BaseModel, frozen=True, extra="forbid"):
    """One answer of the model, or, for `error`, `hang` and `cut`, the lack of one."""

    id: str = ""
    thinking: str | None = None
    text: str | None = None
    repeat: Repeat | None = None
    echo: Literal["request", "system", "prompt", "messages", "tools", "images", "tool_result"] | None = None
    tool: str | None = None
    input: dict[str, Any] = {}
    tools: tuple[ToolCall, ...] = ()
    structured: dict[str, Any] | None = None
    chunks: int = Field(default=1, ge=1)
    chunk_delay_ms: float = Field(default=0, ge=0)
    delay_ms: float = Field(default=0, ge=0)
    stop_reason: str | None = None
    usage: StepUsage = StepUsage()
    error: Failure | None = None
    hang: bool = False
    cut: bool = False
    times: int | None = Field(default=None, ge=0)

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        """Every tool call of this step, in order."""
        one = (ToolCall(tool=self.tool, input=self.input),) if self.tool else ()
        if self.structured is None:
            return one + self.tools
        return (*one, *self.tools, ToolCall(tool="StructuredOutput", input=self.structured))

    @property
    def has_content(self) -> bool:
        """Whether the step says what to answer; an empty text says so too."""
        spoken = (self.thinking, self.text, self.repeat, self.echo)
        return bool(self.calls) or any(part is not None for part in spoken)

    @property
    def is_interruption(self) -> bool:
        """Whether no whole answer comes of it, so that the conversation does not grow."""
        return self.error is not None or self.hang or self.cut


class Script(BaseModel, frozen=True):
    """The steps of one directive; `key` names them wherever their interruptions are counted."""

    key: str
    steps: tuple[ScriptStep, ...]


FINISHED = ScriptStep(text="The offline model's script has ended.")
STEPS: TypeAdapter[tuple[ScriptStep, ...]] = TypeAdapter(tuple[ScriptStep, ...])


class RequestCounter:
    """Counts how often each interruption has happened."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, int], int] = {}

    def spend(self, script: Script, position: int) -> bool:
        """Tell whether the step at `position` interrupts once more, and count it."""
        count = self._counts[script.key, position] = self._counts.get((script.key, position), 0) + 1
        times = script.steps[position].times
        return times is None or count <= times

    def clear(self) -> None:
        """Forget every count."""
        self._counts.clear()


def next_step(script: Script, turn: int, tally: RequestCounter) -> ScriptStep:
    """Return the step that comes after `turn` answers, passing by the interruptions that are spent."""
    answered = 0
    for position, step in enumerate(script.steps):
        if step.is_interruption:
            if answered == turn and tally.spend(script, position):
                return step
        elif answered == turn:
            return step
        else:
            answered += 1
    return FINISHED


def find_script(*texts: str) -> Script | None:
    """Return the last directive of the first text that has one."""
    return next((script for script in map(read_script, texts) if script), None)


def read_script(text: str) -> Script | None:
    """Return the last directive in `text`; one inside another's JSON is a part of it, and not looked at."""
    source, position = "", 0
    while (found := text.find(KEYWORD, position)) >= 0:
        position = found + len(KEYWORD)
        rest = text[position:].lstrip()
        if rest.startswith(("[", "{")):
            source, length = take_json(rest)
            position = len(text) - len(rest) + length
    return parse_script(source) if source else None


def take_json(text: str) -> tuple[str, int]:
    """Return the JSON value that `text` begins with, and its length there; it may lie inside a JSON string."""
    try:
        _, length = json.JSONDecoder().raw_decode(text)
        return text[:length], length
    except json.JSONDecodeError as error:
        literal = STRING_CONTENT.match(text)
        try:
            unescaped = json.loads(f'"{literal.group() if literal else ""}"', strict=False)
            _, inner = json.JSONDecoder().raw_decode(unescaped)
            return unescaped[:inner], literal.end() if literal else 0
        except json.JSONDecodeError:
            raise DirectiveError(f"{KEYWORD} {error} in {text[:80]!r}") from None


@lru_cache(maxsize=256)
def parse_script(source: str) -> Script:
    """Read a list of steps, or a single one."""
    value = json.loads(source)
    try:
        steps = STEPS.validate_python(value if isinstance(value, list) else [value])
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise DirectiveError(f"{KEYWORD} {first['msg']} at {first['loc']}") from None
    return Script(key=sha256(source.encode()).hexdigest(), steps=steps)
