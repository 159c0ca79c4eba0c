"""A run's answer as the chunks of a chat completion, while it is being said."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Iterator
from uuid import UUID

from agent.domain.result import AgentResult
from api.http.errors import ErrorBodies
from api.http.event_stream import COMMENT, data
from api.openai.response import Form, answered, completion_content, completion_id, completion_usage
from api.openai.schemas import ChatCompletionChunk, ChunkChoice, CompletionUsage, Delta
from api.runs.narration import Piece
from api.runs.transcript import RunTranscript

SILENCE_SECONDS = 15.0
"""Proxies close a line on which nothing comes for a minute, some sooner."""

OPENING_SECONDS = 3.0
"""How long a run that has its slot may take to give a sign of life: what goes wrong until then is still a 503."""

DONE = b"data: [DONE]\n\n"

_log = logging.getLogger(__name__)


async def opened(transcript: RunTranscript) -> UUID:
    """The id of the run, once it is worth beginning the answer; raises what kept it from that."""
    while transcript.run_id is None and not transcript.is_over:
        await transcript.change()
    deadline = time.monotonic() + OPENING_SECONDS
    while not (transcript.is_alive or transcript.is_over):
        if not await transcript.change(max(0.0, deadline - time.monotonic())):
            break
    outcome = await transcript.outcome() if transcript.is_over else None
    assert transcript.run_id is not None
    if outcome is not None:
        answered(transcript.run_id, outcome)
    return transcript.run_id


async def chat_chunks(
    run_id: UUID, transcript: RunTranscript, form: Form, bodies: ErrorBodies
) -> AsyncGenerator[bytes]:
    """The events of an answer, from the first word of a run that has begun; trouble is told by an event of its own."""
    chunks = _Chunks(run_id, form)
    yield chunks.opening()
    sent_at = time.monotonic()
    start = 0
    while True:
        over = transcript.is_over
        pieces, start = transcript.since(start), transcript.length
        for piece in pieces:
            if chunk := chunks.piece(piece):
                yield chunk
                sent_at = time.monotonic()
        if over:
            break
        if not await transcript.change(max(0.0, sent_at + SILENCE_SECONDS - time.monotonic())):
            yield COMMENT
            sent_at = time.monotonic()
    try:
        result = answered(run_id, await transcript.outcome())
    except Exception as error:
        _log.warning("the stream of run %s ends with %s: %s", run_id, type(error).__name__, error)
        yield data(bodies.told(error, openai=True))
        return
    for chunk in chunks.closing(result):
        yield chunk
    yield DONE


class _Chunks:
    """Writes chunks that share one head."""

    def __init__(self, run_id: UUID, form: Form) -> None:
        self._form = form
        self._head = {"id": completion_id(run_id), "created": int(time.time()), "model": form.model}

    def opening(self) -> bytes:
        return self._chunk(Delta(role="assistant", content="", refusal=None))

    def piece(self, piece: Piece) -> bytes | None:
        """The chunk for a piece, if this caller wants it; with a schema the answer is the object, all else is not."""
        if piece.kind == "text" and not self._form.structured:
            return self._chunk(Delta(content=piece.text))
        return self._chunk(Delta(reasoning_content=piece.text)) if self._form.reasoning else None

    def closing(self, result: AgentResult) -> Iterator[bytes]:
        """The object, where one was asked for, the finish reason and the usage."""
        if self._form.structured:
            yield self._chunk(Delta(content=completion_content(result)))
        yield self._chunk(Delta(), finish_reason="stop")
        if self._form.usage:
            yield self._write([], usage=completion_usage(result))

    def _chunk(self, delta: Delta, finish_reason: str | None = None) -> bytes:
        return self._write([ChunkChoice(delta=delta, index=0, logprobs=None, finish_reason=finish_reason)])

    def _write(self, choices: list[ChunkChoice], usage: CompletionUsage | None = None) -> bytes:
        members = {"usage": usage} if self._form.usage else {}
        chunk = ChatCompletionChunk(object="chat.completion.chunk", choices=choices, **self._head, **members)
        return data(chunk.model_dump(exclude_unset=True))
