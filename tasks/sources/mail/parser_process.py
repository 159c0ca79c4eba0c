"""The process that parses messages: from frames on stdin to JSON lines on stdout, with limits of its own.

Run as `python -m tasks.sources.mail.parser_process`; imports the standard library and this package alone.
"""

from __future__ import annotations

import base64
import json
import resource
import sys

from tasks.sources.mail.message import read_message

MEMORY_BYTES = 1_073_741_824
CPU_SECONDS = 120


def main() -> None:
    """Answer each frame, a length of 8 bytes and a message, with a line."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    characters = int(sys.argv[1])
    while header := sys.stdin.buffer.read(8):
        raw = sys.stdin.buffer.read(int.from_bytes(header, "big"))
        print(json.dumps(_answer(raw, characters)), flush=True)


def _answer(raw: bytes, characters: int) -> dict[str, object]:
    try:
        value, contents = read_message(raw, characters)
    except Exception as error:
        # whatever a stranger's message does to the parser, the others are read
        text = raw[:characters].decode("utf-8", "replace")
        failed = {"subject": "", "text": text, "cut": True, "attachments": [], "notes": [f"no MIME: {error!r}"]}
        return {"value": failed, "contents": {}}
    packed = {digest: base64.b64encode(content).decode() for digest, content in contents.items()}
    return {"value": value, "contents": packed}


if __name__ == "__main__":
    main()
