"""The floor: the model's own time, as a plain HTTP client meets it."""

from __future__ import annotations

from dataclasses import dataclass

import httpx

from benchmarks.timing import Stopwatch, Timing

MODEL = "claude-sonnet-4-6"


@dataclass(frozen=True)
class Floor:
    """Asks the model itself."""

    client: httpx.AsyncClient
    model_url: str

    async def streamed(self, prompt: str) -> Timing:
        """One answer of the model, as it is said."""
        body = {"model": MODEL, "max_tokens": 1000, "stream": True, "messages": [{"role": "user", "content": prompt}]}
        watch = Stopwatch()
        async with self.client.stream("POST", f"{self.model_url}/v1/messages", json=body) as answer:
            answer.raise_for_status()
            async for line in answer.aiter_lines():
                if '"text_delta"' in line:
                    watch.first()
        return watch.stop()
