"""Puts an answer on the wire, with the pauses, hangs and cuts that its step asks for."""

import asyncio

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from demo.offline_model.messages import Answer, encode_message, encode_stream
from demo.offline_model.script import ScriptStep


class ClientLeft(Exception):
    """The client went away, so there is nobody to answer."""


class Performance(Response):
    """An answer to one request; a client that leaves ends it at once."""

    def __init__(self, step: ScriptStep, answer: Answer, *, stream: bool) -> None:
        super().__init__(media_type="text/event-stream" if stream else "application/json")
        self.step = step
        self.answer = answer
        self.stream = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer, or as much of it as the step allows."""
        try:
            await self.perform(receive, send)
        except ClientLeft:
            return

    async def perform(self, receive: Receive, send: Send) -> None:
        """Play the step: wait, answer, then end, hang or break off."""
        if self.step.delay_ms:
            await wait(receive, self.step.delay_ms / 1000)
        if self.step.hang and not (self.stream and self.step.has_content):
            await wait(receive, None)
        await send({"type": "http.response.start", "status": 200, "headers": self.wire_headers()})
        parts = self.parts()
        for position, part in enumerate(parts):
            if position:
                await wait(receive, self.step.chunk_delay_ms / 1000)
            is_end = position == len(parts) - 1 and not (self.step.hang or self.step.cut)
            await send({"type": "http.response.body", "body": part, "more_body": not is_end})
        if self.step.hang:
            await wait(receive, None)

    def wire_headers(self) -> list[tuple[bytes, bytes]]:
        """Return the headers: chunked, since Response counted a body that it does not have."""
        return [(name, value) for name, value in self.raw_headers if name != b"content-length"]

    def parts(self) -> list[bytes]:
        """Return the body in the parts that are sent one by one."""
        whole = not (self.step.hang or self.step.cut)
        if not self.stream:
            body = encode_message(self.answer)
            return [body if whole else body[: len(body) // 2]]
        parts = encode_stream(self.answer, whole=whole)
        return parts if self.step.chunk_delay_ms else [b"".join(parts)]


async def wait(receive: Receive, seconds: float | None) -> None:
    """Wait that long, or for ever; raises ClientLeft as soon as the client has gone."""
    try:
        async with asyncio.timeout(seconds):
            while (await receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        return
    raise ClientLeft
