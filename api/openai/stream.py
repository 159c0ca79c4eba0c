"""Streams a run as chat completion chunks."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Iterator
from uuid import UUID

from agent.domain.result import AgentResult
from api.http.errors import ErrorBodies
from api.http.event_stream import encode_event
from api.openai.response import AnswerFormat, completion_content, completion_id, completion_usage, result_or_error
from api.openai.schemas import ChatCompletionChunk, ChunkChoice, CompletionUsage, Delta
from api.openai.stop_sequences import StopSequences
from api.runs.narration import Piece
from api.runs.transcript import RunTranscript

SILENCE_SECONDS = 15.0
"""Proxies close a connection that is silent for a minute, some sooner."""

OPENING_SECONDS = 3.0
"""The time for the first event of a run that has a slot: an error until then is still answered with 503."""

DONE = b"data: [DONE]\n\n"

_log = logging.getLogger(__name__)


async def wait_for_start(transcript: RunTranscript, form: AnswerFormat) -> UUID:
    """Return the id of the run when its answer can start. Raises ApiError if it has failed until then."""
    while transcript.run_id is None and not transcript.is_over:
        await transcript.wait_for_change()
    deadline = time.monotonic() + OPENING_SECONDS
    while not (transcript.has_agent_event or transcript.is_over):
        if not await transcript.wait_for_change(max(0.0, deadline - time.monotonic())):
            break
    if transcript.is_over:
        await result_or_error(transcript, form)
    assert transcript.run_id is not None
    return transcript.run_id


async def chat_chunks(
    run_id: UUID, transcript: RunTranscript, form: AnswerFormat, bodies: ErrorBodies
) -> AsyncGenerator[bytes]:
    """Yield the events of an answer; an error after the start is an event of its own."""
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
        if not await transcript.wait_for_change(max(0.0, sent_at + SILENCE_SECONDS - time.monotonic())):
            yield chunks.silence()
            sent_at = time.monotonic()
    try:
        result = await result_or_error(transcript, form)
    except Exception as error:
        _log.warning("the stream of run %s ends with %s: %s", run_id, type(error).__name__, error)
        yield encode_event(bodies.body(error, openai=True))
        return
    for chunk in chunks.closing(result):
        yield chunk
    yield DONE


class _Chunks:
    """Encodes the chunks of one completion."""

    def __init__(self, run_id: UUID, form: AnswerFormat) -> None:
        self._form = form
        self._stop = StopSequences(form.stop)
        self._head = {"id": completion_id(run_id), "created": int(time.time()), "model": form.model}

    def opening(self) -> bytes:
        return self._chunk(Delta(role="assistant", content="", refusal=None))

    def silence(self) -> bytes:
        """Return a chunk that says nothing: some clients end at a comment, and others lose an error after one."""
        return self._chunk(Delta())

    def piece(self, piece: Piece) -> bytes | None:
        """Return the chunk of a piece, or None; with a schema only the object is the answer, and text is reasoning."""
        if piece.kind == "text" and not self._form.structured:
            text = self._stop.add(piece.text)
            return self._chunk(Delta(content=text)) if text else None
        return self._chunk(Delta(reasoning_content=piece.text)) if self._form.reasoning else None

    def closing(self, result: AgentResult) -> Iterator[bytes]:
        """Yield the object if the request had a schema, the finish reason and the usage."""
        if self._form.structured:
            yield self._chunk(Delta(content=completion_content(result)))
        elif rest := self._stop.rest():
            yield self._chunk(Delta(content=rest))
        yield self._chunk(Delta(), finish_reason="stop")
        if self._form.usage:
            yield self._write([], usage=completion_usage(result))

    def _chunk(self, delta: Delta, finish_reason: str | None = None) -> bytes:
        return self._write([ChunkChoice(delta=delta, index=0, logprobs=None, finish_reason=finish_reason)])

    def _write(self, choices: list[ChunkChoice], usage: CompletionUsage | None = None) -> bytes:
        members = {"usage": usage} if self._form.usage else {}
        chunk = ChatCompletionChunk(object="chat.completion.chunk", choices=choices, **self._head, **members)
        return encode_event(chunk.model_dump(exclude_unset=True))
