"""The HTTP forward proxy of a sandboxed run: allows listed destinations, logs refusals."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import h11

from agent.egress.allowlist import Destination
from agent.egress.request import HEAD_BYTES, BadRequest, ProxyRequest, copy_body, read_request
from agent.egress.resolver import NotAllowed, Resolver

_log = logging.getLogger(__name__)

CONNECTIONS = 32
"""At once, of one run; what more it opens waits. Each takes two descriptors, and a host may have 1024 for ten runs."""

HEAD_SECONDS = 30.0
CONNECT_SECONDS = 20.0
LINGER_SECONDS = 2.0
CHUNK_BYTES = 65_536
MOST_REPORTED = 100
"""So many destinations of one run stand in the log."""


class EgressProxy:
    """Serves the connections that come to `listener`, until it is closed; what then is open is cut."""

    def __init__(self, listener: socket.socket, routes: Resolver, whose: Callable[[], str]) -> None:
        self._listener = listener
        self._routes = routes
        self._whose = whose
        self._refused: set[Destination] = set()
        self._calls: set[asyncio.Task[None]] = set()
        self._accepted: set[socket.socket] = set()
        # names are looked up by threads of its own, so that an agent can only keep its own lookups waiting
        self._resolver = ThreadPoolExecutor(max_workers=4, thread_name_prefix="egress")
        self._accepting = asyncio.create_task(self._accept(), name="egress")

    async def close(self) -> None:
        """Let go of the port, and break off what is under way."""
        tasks = [self._accepting, *self._calls]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        self._listener.close()
        # a task that is cancelled before its first step never owned its connection
        for connection in self._accepted:
            connection.close()
        self._resolver.shutdown(wait=False, cancel_futures=True)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        self._listener.setblocking(False)
        room = asyncio.Semaphore(CONNECTIONS)
        while True:
            await room.acquire()
            try:
                connection, _ = await loop.sock_accept(self._listener)
            except OSError as error:  # out of descriptors: the agent's connections wait
                _log.warning("run %s: no connection can be accepted: %s", self._whose(), error.strerror)
                room.release()
                await asyncio.sleep(1)
                continue
            self._accepted.add(connection)
            call = asyncio.create_task(self._serve(connection))
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)
            call.add_done_callback(lambda _: room.release())

    async def _serve(self, connection: socket.socket) -> None:
        self._accepted.discard(connection)
        reader, writer = await asyncio.open_connection(sock=connection, limit=HEAD_BYTES)
        with _closing(writer), contextlib.suppress(OSError, EOFError, h11.ProtocolError):
            await self._answer(reader, writer)
            await _say_goodbye(reader, writer)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request, and one connection to where it leads."""
        try:
            async with asyncio.timeout(HEAD_SECONDS):
                asked = await read_request(reader)
            async with asyncio.timeout(CONNECT_SECONDS):
                there, away = await self._connect(asked.destination)
        except BadRequest as error:
            await _refuse(writer, "400 Bad Request", str(error))
        except NotAllowed as error:
            self._note(error)
            await _refuse(writer, "403 Forbidden", str(error))
        except (OSError, TimeoutError) as error:
            await _refuse(writer, "502 Bad Gateway", f"cannot connect: {error.strerror or 'it took too long'}")
        else:
            with _closing(away):
                await _relay(asked, reader, writer, there, away)

    async def _connect(self, destination: Destination) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """To an address that was looked up and judged; nothing looks the name up again."""
        loop = asyncio.get_running_loop()
        addresses = await loop.run_in_executor(self._resolver, self._routes.find, destination)
        failure = OSError(0, "no address")
        for address in addresses:
            try:
                return await asyncio.open_connection(str(address), destination.port)
            except OSError as error:
                failure = error
        raise failure

    def _note(self, refusal: NotAllowed) -> None:
        if refusal.destination in self._refused or len(self._refused) >= MOST_REPORTED:
            return
        self._refused.add(refusal.destination)
        _log.warning("run %s: %s", self._whose(), refusal)


@contextlib.contextmanager
def _closing(writer: asyncio.StreamWriter) -> Iterator[None]:
    """Close the connection so that what was written still arrives, unless all is broken off."""
    try:
        yield
    except asyncio.CancelledError:
        writer.transport.abort()
        raise
    finally:
        writer.close()


async def _relay(
    asked: ProxyRequest,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    there: asyncio.StreamReader,
    away: asyncio.StreamWriter,
) -> None:
    """Until what was asked for is there: a tunnel at both its ends, an answer at its own."""
    back = asyncio.create_task(_pump(there, writer))
    if asked.is_tunnel:
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        away.write(asked.rest)
        forth = asyncio.create_task(_pump(reader, away))
        waited_for = {forth, back}
    else:
        forth = asyncio.create_task(copy_body(asked, reader, away))
        waited_for = {back}
    try:
        await asyncio.wait(waited_for, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        for way in (forth, back):
            way.cancel()
        await asyncio.gather(forth, back, return_exceptions=True)


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while chunk := await source.read(CHUNK_BYTES):
        sink.write(chunk)
        await sink.drain()
    if sink.can_write_eof():
        sink.write_eof()


async def _say_goodbye(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Let the other side read its answer: to close while it still sends would take that away from it."""
    if writer.can_write_eof():
        writer.write_eof()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            while await reader.read(CHUNK_BYTES):
                pass


async def _refuse(writer: asyncio.StreamWriter, status: str, reason: str) -> None:
    body = f"{reason}\n".encode()
    head = f"HTTP/1.1 {status}\r\ncontent-type: text/plain\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
    writer.write(head.encode() + body)
    await writer.drain()
