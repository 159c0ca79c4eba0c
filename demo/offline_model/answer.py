"""Turns a step into an answer: fills placeholders in, echoes what was asked for, counts tokens."""

import json
import re
from typing import Any
from uuid import uuid4

from demo.offline_model.conversation import Conversation
from demo.offline_model.messages import Answer, Text, Thinking, TokenUsage, ToolUse
from demo.offline_model.script import KEYWORD, ScriptStep

PLACEHOLDER = re.compile(r"\{(tool_result|prompt|model|cwd)\}")
DEFAULT_TEXT = "Done, says the offline model."
CHARACTERS_PER_TOKEN = 4
# A prompt or an answer of megabytes is there to test sizes, not to use up a budget.
MOST_INPUT_TOKENS, MOST_OUTPUT_TOKENS = 50_000, 8_000


def compose_answer(step: ScriptStep, conversation: Conversation) -> Answer:
    """Return what the model says when it takes `step` at this point of the conversation."""
    content: list[Text | Thinking | ToolUse] = []
    if step.thinking is not None:
        content.append(Thinking(thinking=fill(step.thinking, conversation)))
    text = spoken(step, conversation)
    if text:
        content.append(Text(text=text, chunks=step.chunks))
    for call in step.calls:
        filled = fill_deep(call.input, conversation)
        content.append(ToolUse(id=f"toolu_{uuid4().hex}", name=call.tool, input=filled))
    return Answer(
        id=f"msg_{uuid4().hex}",
        model=conversation.model,
        content=tuple(content),
        stop_reason=step.stop_reason or ("tool_use" if step.calls else "end_turn"),
        usage=count_usage(step, conversation, sum(map(block_size, content))),
    )


def spoken(step: ScriptStep, conversation: Conversation) -> str:
    """Return the text of a step: its own, then what it repeats, then what it echoes."""
    if not step.has_content:
        return DEFAULT_TEXT
    parts = [fill(step.text, conversation)] if step.text else []
    if step.repeat:
        text = step.repeat.text.encode()
        repeated = (text * (step.repeat.bytes // len(text) + 1))[: step.repeat.bytes]
        parts.append(repeated.decode(errors="ignore"))
    if step.echo:
        parts.append(echo(step.echo, conversation))
    return "".join(parts)


def fill(text: str, conversation: Conversation) -> str:
    """Put what the placeholders stand for in their place."""
    values = {
        "tool_result": conversation.tool_result,
        "prompt": conversation.prompt,
        "model": conversation.model,
        "cwd": conversation.working_directory,
    }
    return PLACEHOLDER.sub(lambda found: values[found[1]], text)


def fill_deep(value: Any, conversation: Conversation) -> Any:
    """Fill the placeholders of every string in a JSON value, but for a directive to somebody else."""
    match value:
        case str() if KEYWORD in value:
            return value
        case str():
            return fill(value, conversation)
        case dict():
            return {name: fill_deep(member, conversation) for name, member in value.items()}
        case list():
            return [fill_deep(member, conversation) for member in value]
        case _:
            return value


def echo(what: str, conversation: Conversation) -> str:
    """Return what the model was told, as text or as JSON."""
    match what:
        case "system" | "prompt" | "tool_result":
            return str(getattr(conversation, what))
        case "tools":
            return json.dumps(sorted(conversation.tools))
        case "request":
            told = conversation.model_dump(mode="json", exclude={"tools", "fresh_characters"})
            return json.dumps(told | {"tools": sorted(conversation.tools)})
        case _:
            return json.dumps(conversation.model_dump(mode="json", include={what})[what])


def block_size(block: Text | Thinking | ToolUse) -> int:
    """Return how many characters a block is billed for."""
    match block:
        case Text():
            return len(block.text)
        case Thinking():
            return len(block.thinking)
        case ToolUse():
            return len(json.dumps(block.input))


def count_usage(step: ScriptStep, conversation: Conversation, written: int) -> TokenUsage:
    """Count four characters as a token, and what was said before the last answer as read from the cache."""
    cached = conversation.characters - conversation.fresh_characters if conversation.turn else 0
    computed = {
        "input_tokens": count_tokens(conversation.characters - cached, MOST_INPUT_TOKENS),
        "output_tokens": count_tokens(written, MOST_OUTPUT_TOKENS),
        "cache_read_input_tokens": min(MOST_INPUT_TOKENS, cached // CHARACTERS_PER_TOKEN),
        "cache_creation_input_tokens": 0,
    }
    return TokenUsage.model_validate(computed | step.usage.model_dump(exclude_none=True))


def count_tokens(characters: int, most: int = MOST_INPUT_TOKENS) -> int:
    """Return a plausible number of tokens, at most `most`."""
    return min(most, characters // CHARACTERS_PER_TOKEN + 1)
