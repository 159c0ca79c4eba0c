"""Each schema is answered in its form, or refused before any model call, by the service with the real CLI."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any, Protocol

import httpx
import pytest
from jsonschema import Draft202012Validator
from schema_shapes import combined_schemas, pydantic_schemas, written_schemas

from agent.json_schema.modern import modernize
from demo.offline_model.model import OfflineModel

NODE = Path(__file__).parent / "node"
AT_ONCE = 3
PATIENCE_SECONDS = 300
ASKED = 300

Schema = dict[str, Any]


class Service(Protocol):
    """The fixture `service`, as these tests use it."""

    model: OfflineModel
    client: httpx.AsyncClient


async def ask(service: Service, number: int, schema: Schema) -> tuple[str, httpx.Response]:
    """Ask for an answer to a schema. The prompt tells the requests apart."""
    prompt = f"schema number {number}."
    form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    body = {"messages": [{"role": "user", "content": prompt}], "response_format": form}
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            answer = await service.client.post("/v1/chat/completions", json=body, timeout=PATIENCE_SECONDS)
            if "retry-after" not in answer.headers:  # no agent has run: the machine is busy
                return prompt, answer
            await asyncio.sleep(1)


def judge(service: Service, prompt: str, schema: Schema, answer: httpx.Response) -> str:
    """Return `answered`, `refused`, or what is wrong."""
    calls = sum(prompt in one.conversation.prompt for one in service.model.message_requests)
    if answer.status_code == 400:
        error = answer.json()["error"]
        says_why = "keyword '" in error["message"] or "must not contain" in error["message"]
        in_words = error["param"] == "response_format.json_schema.schema" and says_why
        return "refused" if in_words and not calls else f"refused after {calls} calls: {answer.text}"
    if answer.status_code != 200:
        return f"{answer.status_code} {answer.text}"
    content = json.loads(answer.json()["choices"][0]["message"]["content"])
    wrong = [error.message for error in Draft202012Validator(modernize(schema)).iter_errors(content)]
    return f"not in form: {wrong[0]}: {content}" if wrong else "answered"


async def try_all(service: Service, schemas: list[Schema]) -> Counter[str]:
    """Return how many of the schemas had which end."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def try_one(number: int, schema: Schema) -> str:
        async with slots:
            prompt, answer = await ask(service, number, schema)
        verdict = judge(service, prompt, schema, answer)
        if verdict not in ("answered", "refused"):
            print(f"{verdict}\n  {json.dumps(schema)}")
        return verdict

    return Counter(await asyncio.gather(*(try_one(number, schema) for number, schema in enumerate(schemas))))


async def test_schemas_of_common_clients_are_answered_in_form(service: Service) -> None:
    """A pydantic model with models, tuples and unions; openai-go's with `$schema` and a root that is a `$ref`."""
    wide = next(one for one in pydantic_schemas() if one.get("title") == "Wide")
    assert await try_all(service, [wide, *written_schemas()[:2]]) == {"answered": 3}


async def test_schemas_without_an_equal_are_refused_before_a_model_call(service: Service) -> None:
    assert await try_all(service, written_schemas()[-4:]) == {"refused": 4}


@pytest.mark.long
async def test_each_of_300_schemas_is_answered_in_form_or_refused(service: Service) -> None:
    """`make schemas` prints the ends; zod's and those of the JSON Schema Test Suite want Node's packages."""
    schemas = [*pydantic_schemas(), *written_schemas(), *node_schemas()]
    schemas += combined_schemas(max(20, ASKED - len(schemas)))
    ends = await try_all(service, schemas)
    print(f"{len(schemas)} schemas: {dict(ends)}")
    assert set(ends) <= {"answered", "refused"}
    assert ends["answered"] > len(schemas) / 2


def node_schemas() -> list[Schema]:
    """Return the schemas of Node's packages; none where they are not installed."""
    program = shutil.which("node")
    if program is None or not (NODE / "node_modules").is_dir():
        return []
    printed = subprocess.run([program, NODE / "schemas.mjs"], capture_output=True, text=True, check=True).stdout
    return [json.loads(line)[1] for line in printed.splitlines()]
