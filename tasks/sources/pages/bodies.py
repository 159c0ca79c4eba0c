"""Reads a response body with a bound that holds while it is unpacked: a few kilobytes can unpack to gigabytes."""

from __future__ import annotations

import zlib

import httpx

ACCEPTED = "gzip, deflate"
"""The encodings that can be unpacked piece by piece within a bound; zstd's and brotli's decoders of httpx cannot."""

_LAYERS = 2
"""The most encodings on top of each other; a layer more multiplies what a few bytes unpack to."""

_PIECE = 65_536


class UnknownEncoding(Exception):
    """The server sent an encoding that was not asked for."""


class CorruptBody(Exception):
    """The body cannot be unpacked, or ends in the middle."""


class TooLarge(Exception):
    """The body has more bytes than are allowed."""


async def read_body(response: httpx.Response, most: int) -> bytes:
    """Read and unpack the whole body. Raises TooLarge once it has more than `most` bytes, UnknownEncoding."""
    layers = [_Inflater(name) for name in reversed(_encodings(response))]
    body = bytearray()
    async for raw in response.aiter_raw(_PIECE):
        _unpack(raw, layers, body, most)
    if not all(layer.is_complete for layer in layers):
        raise CorruptBody("the compressed body ends in the middle")
    return bytes(body)


def _encodings(response: httpx.Response) -> list[str]:
    names = [name.strip().lower() for name in response.headers.get("content-encoding", "").split(",")]
    names = [name for name in names if name not in ("", "identity")]
    if len(names) > _LAYERS or not all(name in ("gzip", "x-gzip", "deflate") for name in names):
        raise UnknownEncoding(", ".join(names))
    return names


def _unpack(data: bytes, layers: list[_Inflater], body: bytearray, most: int) -> None:
    if not layers:
        body += data
        if len(body) > most:
            raise TooLarge
        return
    first, *others = layers
    while data:
        piece, data = first.inflate(data)
        if piece:
            _unpack(piece, others, body, most)


class _Inflater:
    """One layer of gzip or deflate; gives at most a piece at a time."""

    def __init__(self, name: str) -> None:
        # 47: gzip or zlib, by its header; a few servers send deflate without one
        self._raw_is_possible = name == "deflate"
        self._decoder = zlib.decompressobj(47)
        self._has_begun = False

    @property
    def is_complete(self) -> bool:
        """True at the end of the stream, and for a body without any byte."""
        return self._decoder.eof or not self._has_begun

    def inflate(self, data: bytes) -> tuple[bytes, bytes]:
        """Return the next piece and what of `data` is left for the next call. Raises CorruptBody."""
        try:
            piece = self._decoder.decompress(data, _PIECE)
        except zlib.error as error:
            if self._has_begun or not self._raw_is_possible:
                raise CorruptBody(f"the compressed body is damaged: {error}") from None
            self._decoder, self._raw_is_possible = zlib.decompressobj(-zlib.MAX_WBITS), False
            return self.inflate(data)
        self._has_begun = True
        if self._decoder.eof:
            # what follows the end is another member of the same body (gzip), or padding
            rest = self._decoder.unused_data
            if rest.startswith(b"\x1f\x8b"):
                self._decoder = zlib.decompressobj(47)
                return piece, rest
            return piece, b""
        return piece, self._decoder.unconsumed_tail
