"""The offline model: a scripted stand-in for the Messages API, for tests and for a demo without a key.

async with OfflineModel() as model:             # in the tests' own process; `with` does as well
    environment["ANTHROPIC_BASE_URL"] = model.url

python -m demo.offline_model.model --port-file port.txt       # on its own; its first line is its address
"""

import argparse
import contextlib
import logging
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Self

import anyio.to_thread
import uvicorn

from demo.offline_model.conversation import Conversation
from demo.offline_model.endpoint import MessagesEndpoint, RecordedRequest
from demo.parent_watch import watch_parent


class OfflineModel:
    """A Messages API on loopback that does as prompts say, reachable at `url`.

    With `require_key`, any other key is answered with 401. Without `record`, no request is kept.
    """

    def __init__(self, *, port: int = 0, require_key: str | None = None, record: bool = True) -> None:
        self.endpoint = MessagesEndpoint(require_key=require_key, record=record)
        # connections queue from here on, so that nobody has to wait for the thread below
        self._listener = socket.create_server(("127.0.0.1", port), backlog=1024)
        # asyncio does this only for sockets that it made itself; without it, an answer can take 40 ms more
        self._listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._server = _Server(self.endpoint)
        self._thread = threading.Thread(target=self.serve, name="offline-model", daemon=True)

    @property
    def requests(self) -> list[RecordedRequest]:
        """Every request so far, in the order of arrival."""
        return self.endpoint.requests

    @property
    def message_requests(self) -> list[RecordedRequest]:
        """The requests that asked for an answer."""
        return [request for request in self.requests if request.path == "/v1/messages"]

    @property
    def conversations(self) -> list[Conversation]:
        """What the model was told, for each request that asked for an answer."""
        return [request.conversation for request in self.message_requests]

    @property
    def open(self) -> int:
        """How many requests are being answered now; one that hangs is."""
        return self.endpoint.open

    def reset(self) -> None:
        """Forget the requests, and how often each interruption happened."""
        self.requests.clear()
        self.endpoint.tally.clear()

    async def wait_for_requests(self, count: int = 1, timeout_seconds: float = 20) -> None:
        """Return once `count` requests asked for an answer; TimeoutError if they do not in time."""
        await _until(lambda: len(self.message_requests) >= count, timeout_seconds)

    async def wait_until_idle(self, timeout_seconds: float = 20) -> None:
        """Return once no request is being answered; TimeoutError if one still is by then."""
        await _until(lambda: not self.open, timeout_seconds)

    def serve(self) -> None:
        """Serve in this thread until told to stop, in the main thread by a signal too."""
        self._server.run(sockets=[self._listener])

    def stop(self) -> None:
        """Stop serving, at once: what is being answered is cut off."""
        self._server.should_exit = True

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._thread.join(timeout=10)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, *_: object) -> None:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self.__exit__)


async def _until(claim: Callable[[], bool], timeout_seconds: float) -> None:
    with anyio.fail_after(timeout_seconds):
        while not claim():  # noqa: ASYNC110 - the server is in another thread, without an event of ours
            await anyio.sleep(0.005)


class _Server(uvicorn.Server):
    def __init__(self, endpoint: MessagesEndpoint) -> None:
        super().__init__(
            uvicorn.Config(
                endpoint, log_config=None, access_log=False, lifespan="off", ws="none", timeout_keep_alive=600
            )
        )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # the orderly end would wait for an answer that hangs
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.transport.abort()


def main(arguments: list[str] | None = None) -> None:
    """Run the offline model on its own until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m demo.offline_model.model", description=main.__doc__)
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--port-file", type=Path, help="where to write the port")
    parser.add_argument("--require-key", help="answer any other key with 401")
    parser.add_argument("--exit-with-parent", action="store_true", help="end when the parent or our stdin does")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.CRITICAL)
    model = OfflineModel(port=options.port, require_key=options.require_key, record=False)
    if options.exit_with_parent:
        watch_parent(model.stop)
    announce(model, options.port_file)
    with contextlib.suppress(KeyboardInterrupt):
        model.serve()


def announce(model: OfflineModel, port_file: Path | None) -> None:
    """Say where the model is, on stdout and in the file, which is never seen half written."""
    print(model.url, flush=True)
    if port_file:
        draft = port_file.with_name(f"{port_file.name}.draft")
        draft.write_text(f"{model.port}\n")
        draft.replace(port_file)


if __name__ == "__main__":
    main()
