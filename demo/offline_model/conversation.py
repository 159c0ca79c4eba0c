"""Reads what a request to the Messages API says, and where its conversation stands."""

import json
import re
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

Block = dict[str, Any]

REMINDER = re.compile(r"<system-reminder>.*?</system-reminder>\s*", re.DOTALL)
WORKING_DIRECTORY = re.compile(r"[Ww]orking directory: (.+)")
# The CLI writes these by itself, as a user would: they carry on with the request before them.
NUDGES = (
    "[structured-output-enforce]",
    "Output token limit hit",
    "Continue from where you left off",
    "Your response above was stopped by a safety classifier",
    "<task-notification>",
)


class Image(BaseModel, frozen=True):
    """An image or document that the model was shown; `characters` is the length of its data as sent."""

    media_type: str
    characters: int


class AnsweredCall(BaseModel, frozen=True):
    """A tool call that was made since the prompt, with what came of it."""

    tool: str
    input: dict[str, Any]
    result: str = ""
    is_error: bool = False


class ConversationMessage(BaseModel, frozen=True):
    """One message as text, reminders included."""

    role: str
    text: str


class Conversation(BaseModel, frozen=True):
    """What the model was told; `turn` counts its own answers since `prompt`, the last thing a user asked."""

    model: str
    stream: bool
    effort: str | None
    system: str
    prompt: str
    turn: int
    calls: tuple[AnsweredCall, ...]
    messages: tuple[ConversationMessage, ...]
    images: tuple[Image, ...]
    tools: dict[str, dict[str, Any]]
    working_directory: str
    fresh_characters: int

    @property
    def tool_result(self) -> str:
        """The text of the last tool result, or nothing."""
        return self.calls[-1].result if self.calls else ""

    @property
    def characters(self) -> int:
        """How much text there is, which is what usage is computed from."""
        return len(self.system) + sum(len(said.text) for said in self.messages)


def read_conversation(body: dict[str, Any]) -> Conversation:
    """Read the parsed body of `POST /v1/messages`."""
    messages = [(message["role"], blocks_of(message["content"])) for message in body["messages"]]
    said = tuple(ConversationMessage(role=role, text=text_of(blocks)) for role, blocks in messages)
    system = text_of(blocks_of(body.get("system", "")))
    start = prompt_position(messages)
    since = messages[start + 1 :]
    last_answer = max((i for i, (role, _) in enumerate(messages) if role == "assistant"), default=-1)
    return Conversation(
        model=body.get("model", ""),
        stream=bool(body.get("stream")),
        effort=(body.get("output_config") or {}).get("effort"),
        system=system,
        prompt=genuine_text(messages[start][1]) if messages else "",
        turn=count_answers([role for role, _ in since]),
        calls=tuple(read_calls(since)),
        messages=said,
        images=tuple(read_images(messages)),
        tools={tool["name"]: tool.get("input_schema", {}) for tool in body.get("tools") or []},
        working_directory=working_directory(system, said),
        fresh_characters=sum(len(one.text) for one in said[last_answer + 1 :]),
    )


def blocks_of(content: str | list[Block]) -> list[Block]:
    """Return content as a list of blocks, whichever way it was sent."""
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def text_of(blocks: list[Block]) -> str:
    """Join the text of blocks, tool results and tool inputs included."""
    return "\n".join(text for text in map(block_text, blocks) if text)


def block_text(block: Block) -> str:
    """Return what a block says."""
    match block.get("type"):
        case "text":
            return str(block["text"])
        case "tool_result":
            return text_of(blocks_of(block.get("content") or ""))
        case "tool_use":
            return json.dumps(block["input"])
        case _:
            return ""


def genuine_text(blocks: list[Block]) -> str:
    """Return what the user wrote, without the reminders that the CLI puts around it."""
    texts = (REMINDER.sub("", block["text"]) for block in blocks if block.get("type") == "text")
    return "\n".join(text for text in texts if text.strip())


def prompt_position(messages: list[tuple[str, list[Block]]]) -> int:
    """Return where the last message lies that a user wrote; the first message if none did."""
    for position in range(len(messages) - 1, -1, -1):
        role, blocks = messages[position]
        if role == "user" and is_prompt(blocks):
            return position
    return 0


def is_prompt(blocks: list[Block]) -> bool:
    """Tell a user's own message from tool results, reminders and nudges."""
    text = genuine_text(blocks).lstrip()
    if any(block.get("type") == "tool_result" for block in blocks):
        # a message that arrives in the middle of a turn is folded into the tool results
        return "offline-model:" in text
    return bool(text) and not text.startswith(NUDGES)


def count_answers(roles: list[str]) -> int:
    """Count the model's answers; one that was sent as several messages in a row is one."""
    return sum(role == "assistant" and before != "assistant" for before, role in zip(["", *roles], roles, strict=False))


def read_calls(messages: list[tuple[str, list[Block]]]) -> Iterator[AnsweredCall]:
    """Yield each tool call of `messages` with its result."""
    blocks = [block for _, content in messages for block in content]
    results = {block["tool_use_id"]: block for block in blocks if block.get("type") == "tool_result"}
    for block in blocks:
        if block.get("type") == "tool_use":
            result = results.get(block["id"], {})
            yield AnsweredCall(
                tool=block["name"],
                input=block["input"],
                # some models are sent the CLI's reminders inside the result
                result=REMINDER.sub("", block_text(result)).rstrip(),
                is_error=bool(result.get("is_error")),
            )


def read_images(messages: list[tuple[str, list[Block]]]) -> Iterator[Image]:
    """Yield the images and documents of `messages`, those in tool results included."""
    for role, blocks in messages:
        for block in blocks:
            if block.get("type") in ("image", "document"):
                source = block["source"]
                yield Image(media_type=source.get("media_type", source["type"]), characters=len(source.get("data", "")))
            elif block.get("type") == "tool_result":
                yield from read_images([(role, blocks_of(block.get("content") or ""))])


def working_directory(system: str, said: tuple[ConversationMessage, ...]) -> str:
    """Find the directory that the CLI works in, which some models are told as system and some as user."""
    for text in (system, *(one.text for one in said if one.role in ("system", "user"))):
        if found := WORKING_DIRECTORY.search(text):
            return found.group(1).strip()
    return "."
