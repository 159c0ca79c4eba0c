"""A reverse proxy before Prefect that answers in its place, refuses websockets, or cuts connections, as it is told."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_HEAD_BYTES = 65_536

ANSWERS = {
    "503": "503 Service Unavailable\r\ncontent-type: text/plain",
    "404": "404 Not Found\r\ncontent-type: text/plain",
    "html": "200 OK\r\ncontent-type: text/html",
    "500": '500 Internal Server Error\r\ncontent-type: application/json\r\nserver: "an ingress"',
}

REFUSED = "no websockets here"
CUT = "cut"


class PrefectProxy:
    """Forwards each connection to `port` on loopback; while `answering` is open it does what that says instead."""

    def __init__(self, port: int) -> None:
        self._upstream = port
        self._fault: str | None = None
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port: int = self._listener.getsockname()[1]
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._is_serving = threading.Event()

    @contextmanager
    def serving(self) -> Iterator[PrefectProxy]:
        """Forward while this is open."""
        thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="prefect proxy", daemon=True)
        thread.start()
        self._is_serving.wait()
        try:
            yield self
        finally:
            self._in_loop(self._stop.set)
            thread.join()

    @contextmanager
    def answering(self, fault: str) -> Iterator[None]:
        """While this is open every request meets the fault, also those of connections that are open now."""
        self._set(fault)
        try:
            yield
        finally:
            self._set(None)

    def _set(self, fault: str | None) -> None:
        self._fault = fault
        self._in_loop(self._cut_all)

    def _in_loop(self, action: Callable[[], None]) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(action)

    def _cut_all(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        server = await asyncio.start_server(self._serve, sock=self._listener, limit=_HEAD_BYTES)
        self._is_serving.set()
        await self._stop.wait()
        server.close()
        self._cut_all()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with contextlib.suppress(OSError, EOFError, asyncio.LimitOverrunError):
            head = await reader.readuntil(b"\r\n\r\n")
            is_websocket = b"upgrade: websocket" in head.lower()
            if self._fault in ANSWERS:
                writer.write(
                    f"HTTP/1.1 {ANSWERS[self._fault]}\r\n".encode() + b"connection: close\r\n\r\nnot Prefect\n"
                )
                await writer.drain()
            elif self._fault == REFUSED and is_websocket:
                writer.write(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                await writer.drain()
            elif self._fault != CUT:
                await self._forward(head, reader, writer)
        self._writers.discard(writer)
        writer.close()

    async def _forward(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", self._upstream)
        upstream_writer.write(head)
        pipes = [
            asyncio.create_task(_pipe(reader, upstream_writer)),
            asyncio.create_task(_pipe(upstream_reader, writer)),
        ]
        await asyncio.wait(pipes, return_when=asyncio.FIRST_COMPLETED)
        for pipe in pipes:
            pipe.cancel()
        await asyncio.gather(*pipes, return_exceptions=True)
        upstream_writer.close()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(_HEAD_BYTES):
            writer.write(data)
            await writer.drain()
