"""The real CLI runs on the offline model: answers, tools, errors, and ends."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from offline_claude import Claude, read_messages, send_prompt

from demo.offline_model.model import OfflineModel
from demo.repository import WORKSPACE, create_repository, git

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGNgYGAAAAAEAAH2FzhVAAAAAElFTkSuQmCC"
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


def directive(*steps: dict[str, Any]) -> str:
    return f"Please follow this. offline-model: {json.dumps(steps)} Thank you."


def define_agent(claude: Claude, name: str, body: str) -> None:
    agents = claude.directory / ".claude" / "agents"
    agents.mkdir(parents=True, exist_ok=True)
    (agents / f"{name}.md").write_text(f"---\nname: {name}\ndescription: tests\n---\n{body}\n")


async def until_result(messages: AsyncIterator[dict[str, Any]]) -> AsyncIterator[dict[str, Any]]:
    async for message in messages:
        yield message
        if message["type"] == "result":
            return


@pytest.mark.long
async def test_text_becomes_the_result(claude: Claude, model: OfflineModel) -> None:
    result = await claude.run(directive({"text": "hello"}), "--model", "claude-sonnet-4-6", "--effort", "low")
    assert result["result"] == "hello"
    assert not result["is_error"]
    assert 0 < result["total_cost_usd"] < 0.1
    (conversation,) = model.conversations
    assert conversation.model == "claude-sonnet-4-6"
    assert conversation.effort == "low"
    assert Path(conversation.working_directory) == claude.directory
    assert model.message_requests[0].key == "sk-offline"


@pytest.mark.long
async def test_tools_really_run_and_their_results_come_back(claude: Claude) -> None:
    steps = (
        {"text": "Let me look.", "tool": "Bash", "input": {"command": "echo tide"}},
        {"tool": "Write", "input": {"file_path": "{cwd}/a.txt", "content": "high {tool_result}"}},
        {"tools": [{"tool": "Read", "input": {"file_path": "{cwd}/a.txt"}}, {"tool": "NoSuchTool"}]},
        {"tool": "Bash", "input": {"command": "cat a.txt"}},
        {"text": "It says: {tool_result}"},
    )
    # this model is sent reminders inside the tool results, newer ones are not
    result = await claude.run(directive(*steps), "--model", "claude-haiku-4-5")
    assert result["result"] == "It says: high tide"
    assert (claude.directory / "a.txt").read_text() == "high tide"


@pytest.mark.long
async def test_an_answer_of_megabytes_arrives_whole(claude: Claude) -> None:
    result = await claude.run(directive({"repeat": {"bytes": 3_000_000, "text": "ab"}}), "--max-budget-usd", "1")
    assert result["result"] == "ab" * 1_500_000


async def test_a_cut_stream_and_an_overload_are_overcome(claude: Claude, model: OfflineModel) -> None:
    result = await claude.run(
        directive(
            {"text": "I was about to", "cut": True, "times": 1},
            {"tool": "Bash", "input": {"command": "echo ran >> runs"}},
            {"error": {"status": 529}, "times": 1},
            {"text": "at last"},
        )
    )
    assert result["result"] == "at last"
    assert [conversation.turn for conversation in model.conversations] == [0, 0, 1, 1]
    assert (claude.directory / "runs").read_text() == "ran\n"


@pytest.mark.long
async def test_an_error_for_good_is_the_result(claude: Claude, model: OfflineModel) -> None:
    model.endpoint.require_key = "sk-another"
    result = await claude.run("hello")
    assert result["is_error"]
    assert result["api_error_status"] == 401
    assert len(model.message_requests) == 1


@pytest.mark.long
async def test_a_killed_cli_ends_a_hanging_request(claude: Claude, model: OfflineModel) -> None:
    async with claude.start() as process:
        await send_prompt(process, directive({"text": "I was about to", "hang": True}))
        async for message in read_messages(process):
            if message.get("event", {}).get("type") == "content_block_delta":
                break
        assert model.open == 1
        process.kill()
        await model.wait_until_idle(5)


@pytest.mark.long
async def test_a_schema_is_answered_by_its_tool(claude: Claude) -> None:
    steps = ({"structured": {"n": "not a number"}}, {"text": "I forgot"}, {"structured": {"n": 4}})
    result = await claude.run(directive(*steps), "--json-schema", json.dumps(SCHEMA))
    assert result["structured_output"] == {"n": 4}


async def test_each_prompt_of_a_conversation_has_its_own_directive(claude: Claude) -> None:
    """An image is seen with its type, deltas come one by one, and an answer cut off for its length is carried on."""
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
    async with claude.start() as process:
        messages = read_messages(process)

        async def answers(content: str | list[dict[str, Any]], *, last: bool = False) -> list[dict[str, Any]]:
            await send_prompt(process, content, close=last)
            return [message async for message in until_result(messages)]

        told = await answers(directive({"tool": "Bash", "input": {"command": "true"}}, {"text": "1"}))
        assert told[-1]["result"] == "1"
        told = await answers([image, {"type": "text", "text": directive({"echo": "images"})}])
        assert [seen["media_type"] for seen in json.loads(told[-1]["result"])] == ["image/png"]
        told = await answers(directive({"text": "first half", "stop_reason": "max_tokens"}, {"text": "second half"}))
        assert told[-1]["result"] == "second half"
        told = await answers(directive({"text": "one two three", "chunks": 5, "chunk_delay_ms": 1}), last=True)
    events = [message["event"] for message in told if message["type"] == "stream_event"]
    texts = [event["delta"]["text"] for event in events if event["type"] == "content_block_delta"]
    assert len(texts) == 5
    assert "".join(texts) == "one two three"


@pytest.mark.long
async def test_an_agent_file_can_hold_the_directive(claude: Claude) -> None:
    script = directive({"tool": "Bash", "input": {"command": "true"}}, {"text": "as my file says"})
    define_agent(claude, "scripted", f"Be brief.\n{script}")
    assert (await claude.run("go", "--agent", "scripted"))["result"] == "as my file says"


async def test_a_subagent_follows_the_directive_of_its_own_prompt(claude: Claude) -> None:
    define_agent(claude, "helper", "You help.")
    inner = directive({"tool": "Bash", "input": {"command": "echo buoy"}}, {"text": "found a {tool_result}"})
    call = {"description": "look", "prompt": inner, "subagent_type": "helper", "run_in_background": False}
    result = await claude.run(directive({"tool": "Agent", "input": call}, {"text": "It {tool_result}"}))
    assert "found a buoy" in result["result"]


@pytest.fixture
def pier(claude: Claude, tmp_path: Path) -> Claude:
    """The CLI in a checkout of the demo's own repository."""
    origin = create_repository(tmp_path / "remote")
    git(tmp_path, "clone", "--quiet", str(origin), str(claude.directory))
    return claude


async def test_the_triage_agent_reads_judges_and_writes(pier: Claude, model: OfflineModel) -> None:
    result = await pier.run("Triage the inbox, please.", "--agent", "recruiter-triage")
    written = {path.stem for path in (pier.directory / "triage").glob("0*.md")}
    assert written == {path.stem for path in (WORKSPACE / "inbox").iterdir()}
    assert "quarantine" in (pier.directory / "triage" / "06-helpful-assistant.md").read_text()
    assert "offline model" in result["result"]
    assert model.conversations[0].model.startswith("claude-haiku")


@pytest.mark.long
async def test_the_triage_agent_answers_by_schema(pier: Claude) -> None:
    schema = {"type": "object", "properties": {"priority": {"enum": ["low", "high"]}, "action": {"type": "string"}}}
    arguments = ("--agent", "recruiter-triage", "--json-schema", json.dumps(schema))
    result = await pier.run("Triage inbox/03-offer-expires.md", *arguments)
    assert result["structured_output"] == {"priority": "high", "action": "reply"}


@pytest.mark.long
async def test_the_task_runner_commits_what_it_did(pier: Claude) -> None:
    result = await pier.run("Do the next task.", "--agent", "beads-task-runner")
    assert git(pier.directory, "log", "-1", "--format=%s").startswith("lb-2: ")
    assert git(pier.directory, "status", "--porcelain") == ""
    assert "lb-2" in result["result"]
