"""The real CLI, driven against the offline model."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from agent.claude.result_message import read_result
from agent.domain.errors import AgentFailed, AgentOverloaded, AgentTimedOut, AgentUnknown
from agent.domain.events import ModelAnswered, Said, Started, TextDelta, ToolCalled, ToolReturned, Warned
from agent.domain.request import AgentRequest
from agent.domain.result import Invocation

if TYPE_CHECKING:
    from conftest import Bench

pytestmark = pytest.mark.anyio

REQUEST = AgentRequest(prompt="hi", agent="tester")
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def steps(*steps: dict[str, object]) -> str:
    return f"offline-model: {json.dumps(steps)}"


async def test_a_run_is_as_it_was_asked_for_and_tells_each_step_and_its_cost(bench: Bench) -> None:
    script = steps(
        {"tool": "Bash", "input": {"command": "echo one > made; cat made"}}, {"text": "it said {tool_result}"}
    )
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
    invocation = await bench.converse(
        "ignored", [{"type": "text", "text": script}, image], instructions="Answer in rhyme.", model="haiku"
    )

    first = bench.model.message_requests[0]
    assert "haiku" in first.body["model"]
    assert "Answer in rhyme." in first.conversation.system
    assert "You test." in first.conversation.system
    assert "image/png" in json.dumps(first.body["messages"])

    kinds = [type(event) for event in bench.events if not isinstance(event, TextDelta | ModelAnswered)]
    assert kinds == [Started, ToolCalled, ToolReturned, Said]
    assert (bench.checkout / "made").read_text() == "one\n"
    assert "".join(event.text for event in bench.events if isinstance(event, TextDelta)) == "it said one"

    result = read_result(REQUEST, invocation)
    assert (result.text, result.exit_code, result.turns) == ("it said one", 0, 2)
    assert result.cost_usd
    assert result.usage.prompt_tokens > 0
    assert json.loads("".join(result.output))["type"] == "result"


async def test_an_unknown_agent_is_refused_before_anything_is_said(bench: Bench) -> None:
    with pytest.raises(AgentUnknown, match="tester"):
        await bench.converse("hi", agent="nobody")
    assert bench.model.message_requests == []
    assert bench.process is not None
    assert bench.process.exit_code is not None


@pytest.mark.long
@pytest.mark.parametrize("prompt", ["/cost", "@/etc/hostname", "--version", "-p --mcp-config=/tmp/evil.json"])
async def test_no_prompt_is_anything_but_text(prompt: str, bench: Bench) -> None:
    await bench.converse(prompt)
    [told] = bench.model.conversations
    assert prompt in told.prompt
    assert f'{Path("/etc/hostname").read_text().strip()}"' not in json.dumps(told.prompt)


@pytest.mark.long
async def test_a_prompt_and_an_answer_of_megabytes_pass(bench: Bench) -> None:
    big = steps({"repeat": {"bytes": 3_000_000}}) + "\n" + "x" * 2_000_000
    result = read_result(REQUEST, await bench.converse(big))
    assert len(result.text or "") == 3_000_000


@pytest.mark.long
async def test_a_schema_gives_a_structured_answer(bench: Bench) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    asked = REQUEST.model_copy(update={"json_schema": schema})
    result = read_result(asked, await bench.converse(steps({"structured": {"n": 7}}), json_schema=schema))
    assert result.structured == {"n": 7}


async def test_a_model_that_answers_in_prose_all_the_same_is_a_failure(bench: Bench) -> None:
    asked = REQUEST.model_copy(update={"json_schema": {"type": "object"}})
    invocation = await bench.converse(steps({"text": "no"}, {"text": "no"}), json_schema={"type": "object"})
    with pytest.raises(AgentFailed, match="schema"):
        read_result(asked, invocation)


@pytest.mark.long
async def test_an_overload_before_the_first_word_can_be_tried_again(bench: Bench) -> None:
    invocation = await bench.converse(steps({"error": {"status": 529}}))
    with pytest.raises(AgentOverloaded):
        read_result(REQUEST, invocation)


@pytest.mark.long
async def test_an_overload_after_a_tool_ran_cannot(bench: Bench) -> None:
    script = steps({"tool": "Bash", "input": {"command": "true"}}, {"error": {"status": 529}})
    invocation = await bench.converse(script)
    with pytest.raises(AgentFailed, match="529"):
        read_result(REQUEST, invocation)


@pytest.mark.long
async def test_a_budget_that_ran_out_is_a_failure_with_its_cost(bench: Bench) -> None:
    costly = {"tool": "Bash", "input": {"command": "true"}, "usage": {"output_tokens": 900_000}}
    invocation = await bench.converse(steps(costly, {"text": "more"}), max_budget_usd=0.5)
    with pytest.raises(AgentFailed, match="budget") as caught:
        read_result(REQUEST, invocation)
    assert (caught.value.result.cost_usd or 0) > 0.5


async def test_a_run_past_its_time_ends_with_its_tool(bench: Bench) -> None:
    script = steps({"tool": "Bash", "input": {"command": "echo $$ > pid; for i in $(seq 600); do sleep 0.5; done"}})
    invocation = await bench.converse(script, timeout_seconds=15)
    with pytest.raises(AgentTimedOut, match="15 s"):
        read_result(REQUEST.model_copy(update={"timeout_seconds": 15}), invocation)
    assert not psutil.pid_exists(int((bench.checkout / "pid").read_text()))


async def test_silence_ends_a_run_but_a_long_tool_call_is_not_silence(bench: Bench) -> None:
    bench.stall_seconds = 8  # the start of the CLI on a busy machine is silent too
    quiet_tool: dict[str, object] = {"tool": "Bash", "input": {"command": "for i in $(seq 20); do sleep 0.5; done"}}
    assert (await bench.converse(steps(quiet_tool, {"text": "done"}))).ending == "exit"
    assert (await bench.converse(steps({"hang": True}))).ending == "stalled"


async def test_a_cancellation_ends_the_process_and_keeps_what_was_spent(bench: Bench) -> None:
    script = steps({"tool": "Bash", "input": {"command": "true"}}, {"hang": True})
    turn = await bench.start(REQUEST)
    task = asyncio.create_task(turn.run(script))
    await bench.model.wait_for_requests(2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    invocation: Invocation = turn.invocation
    assert (invocation.ending, invocation.exit_code is None) == ("cancelled", False)
    assert json.loads(invocation.result_line or "{}")["total_cost_usd"] > 0


def helper(delay_ms: int, report: str = "it is 42") -> dict[str, object]:
    """A call of the Agent tool, as models make it: the CLI runs it in the background unless told otherwise."""
    prompt = steps({"delay_ms": delay_ms, "text": report})
    return {"tool": "Agent", "input": {"description": "h", "prompt": prompt, "subagent_type": "general-purpose"}}


def in_background(command: str) -> dict[str, object]:
    return {"tool": "Bash", "input": {"command": command, "run_in_background": True}}


NEVER_ENDS = "while true; do echo tick; sleep 1; done"


class TestEndOfARun:
    """A run ends when the agent has ended, not at its first result."""

    async def test_a_helper_and_a_build_are_waited_for_beside_a_server_that_is_not(self, bench: Bench) -> None:
        bench.background_seconds = 12
        told: list[str | None] = []
        turn = await bench.start(REQUEST)
        script = steps(
            {"tools": [helper(4000), in_background("sleep 2; echo built > out.txt"), in_background(NEVER_ENDS)]},
            {"text": "I have started all, and will report"},
            {"text": "BUILD-REPORT"},
            {"text": "FINAL-REPORT"},
        )
        invocation = await turn.run(script, on_result=lambda early: told.append(read_result(REQUEST, early).text))
        result = read_result(REQUEST, invocation)
        assert (result.text, result.exit_code, told) == ("FINAL-REPORT", 0, ["FINAL-REPORT"])
        assert (bench.checkout / "out.txt").read_text() == "built\n"
        assert len(bench.model.message_requests) == 5
        own = sum(event.usage.prompt_tokens for event in bench.events if isinstance(event, ModelAnswered))
        assert result.usage.prompt_tokens > own, "the helper's call counts too"
        assert [type(event) for event in bench.events].count(Started) == 1
        assert [event.text for event in bench.events if isinstance(event, Warned)] != []
        assert "it is 42" in [event.text for event in bench.events if isinstance(event, ToolReturned)]

    async def test_a_server_is_not_waited_for(self, bench: Bench) -> None:
        bench.background_seconds = 600
        server = "python3 -m http.server --bind 127.0.0.1 0"
        async with asyncio.timeout(300):
            invocation = await bench.converse(steps(in_background(server), {"text": "SERVER-ANSWER"}))
        assert (invocation.exit_code, read_result(REQUEST, invocation).text) == (0, "SERVER-ANSWER")

    async def test_a_command_that_never_ends_ends_with_the_run_even_just_before_its_time_limit(
        self, bench: Bench
    ) -> None:
        bench.background_seconds = 600
        script = steps(in_background(f"echo $$ > pid; {NEVER_ENDS}"), {"text": "SERVER-ANSWER"})
        invocation = await bench.converse(script, timeout_seconds=25)
        assert (invocation.ending, read_result(REQUEST, invocation).text) == ("exit", "SERVER-ANSWER")
        assert not psutil.pid_exists(int((bench.checkout / "pid").read_text()))

    async def test_a_helper_that_never_ends_is_bounded_by_the_time_limit(self, bench: Bench) -> None:
        invocation = await bench.converse(steps(helper(600_000), {"text": "wait for it"}), timeout_seconds=15)
        with pytest.raises(AgentTimedOut) as caught:
            read_result(REQUEST, invocation)
        assert caught.value.result.text == "wait for it"

    async def test_a_helper_that_ends_while_the_model_answers_is_reported_too(self, bench: Bench) -> None:
        answer = {"text": "one two three", "chunks": 3, "chunk_delay_ms": 1500}
        invocation = await bench.converse(steps(helper(1000), answer, {"text": "AND-THE-REST"}))
        assert read_result(REQUEST, invocation).text == "AND-THE-REST"

    async def test_a_structured_answer_stays_though_a_later_turn_does_not_repeat_it(self, bench: Bench) -> None:
        schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
        asked = REQUEST.model_copy(update={"json_schema": schema})
        script = steps(helper(1000), {"structured": {"n": 7}}, {"text": "noted"}, {"text": "noted"})
        result = read_result(asked, await bench.converse(script, json_schema=schema))
        assert result.structured == {"n": 7}

    async def test_a_run_that_a_hook_stopped_says_why(self, bench: Bench) -> None:
        said = json.dumps({"continue": False, "stopReason": "FROZEN-BY-POLICY"})
        hook = {"hooks": [{"type": "command", "command": f"echo '{said}'"}]}
        (bench.checkout / ".claude" / "settings.json").write_text(json.dumps({"hooks": {"PreToolUse": [hook]}}))
        script = steps({"tool": "Bash", "input": {"command": "true"}}, {"text": "after"})
        with pytest.raises(AgentFailed, match="FROZEN-BY-POLICY"):
            read_result(REQUEST, await bench.converse(script))


class TestStandIns:
    """What the real CLI cannot be made to do."""

    async def test_plain_text_from_an_older_cli_is_the_answer(self, bench: Bench) -> None:
        bench.stand_in("read -r line; echo plain answer")
        assert read_result(REQUEST, await bench.converse("hi")).text == "plain answer"

    async def test_a_result_on_a_very_long_line_beside_a_flood_on_stderr(self, bench: Bench) -> None:
        bench.stand_in(
            "head -c 3000000 /dev/zero | tr '\\0' e >&2\n"
            'printf \'{"type":"result","subtype":"success","is_error":false,"result":"\'\n'
            "head -c 200000 /dev/zero | tr '\\0' x; echo '\"}'"
        )
        assert len(read_result(REQUEST, await bench.converse("hi")).text or "") == 200_000

    async def test_bytes_that_are_not_utf_8_are_an_answer_too(self, bench: Bench) -> None:
        bench.stand_in("printf 'caf\\xe9\\n'")
        assert read_result(REQUEST, await bench.converse("hi")).text == "caf\ufffd"

    async def test_exit_zero_with_is_error_is_a_failure(self, bench: Bench) -> None:
        bench.stand_in("""echo '{"type":"result","subtype":"success","is_error":true,"result":"no"}'""")
        with pytest.raises(AgentFailed, match="no"):
            read_result(REQUEST, await bench.converse("hi"))

    async def test_a_grandchild_that_holds_stdout_does_not_hold_the_answer(self, bench: Bench) -> None:
        bench.stand_in("setsid sleep 600 & echo text")
        assert read_result(REQUEST, await bench.converse("hi", timeout_seconds=300)).text == "text"

    async def test_a_cli_that_ignores_every_signal_is_ended_all_the_same(self, bench: Bench) -> None:
        bench.stand_in("trap '' TERM INT; while true; do sleep 0.2; done")
        invocation = await bench.converse("hi", timeout_seconds=1)
        assert (invocation.ending, invocation.exit_code) == ("timeout", -9)

    async def test_thinking_before_an_overload_is_not_begun_again(self, bench: Bench) -> None:
        thinking = {"type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": "hm"}}
        overload = {"subtype": "success", "is_error": True, "terminal_reason": "api_error", "api_error_status": 529}
        lines = [
            {"type": "stream_event", "parent_tool_use_id": None, "event": thinking},
            {"type": "result", "result": "Overloaded", **overload},
        ]
        bench.stand_in("\n".join(f"echo '{json.dumps(line)}'" for line in lines) + "; exit 1")
        with pytest.raises(AgentFailed, match="Overloaded"):
            read_result(REQUEST, await bench.converse("hi"))

    async def test_a_cli_that_is_slow_to_exit_has_not_failed(self, bench: Bench) -> None:
        bench.stand_in("""echo '{"type":"result","subtype":"success","is_error":false,"result":"done"}'; sleep 30""")
        result = read_result(REQUEST, await bench.converse("hi", timeout_seconds=3))
        assert (result.text, result.exit_code, result.ending) == ("done", 0, "exit")

    @pytest.mark.parametrize("cancelled", [False, True])
    async def test_a_cli_that_does_not_read_its_prompt_is_ended(self, cancelled: bool, bench: Bench) -> None:
        bench.stand_in("""echo '{"type":"control_response","response":{"request_id":"initialize"}}'; sleep 600""")
        turn = await bench.start(REQUEST.model_copy(update={"timeout_seconds": 2}))
        task = asyncio.create_task(turn.run("x" * 2_000_000))
        if cancelled:
            await asyncio.sleep(0.5)
            task.cancel()
        await asyncio.wait({task}, timeout=120)
        assert turn.invocation.ending == ("cancelled" if cancelled else "timeout")

    async def test_a_line_without_an_end_ends_that_run_alone(self, bench: Bench) -> None:
        bench.stand_in("head -c 48000000 /dev/zero | tr '\\0' '\\377'; sleep 60")
        invocation = await bench.converse("hi")
        assert (invocation.ending, invocation.printed) == ("output", "")
        with pytest.raises(AgentFailed, match="40 MB"):
            read_result(REQUEST, invocation)

    async def test_an_answer_is_checked_within_bounded_time_and_off_the_event_loop(self, bench: Bench) -> None:
        line = {"type": "result", "subtype": "success", "is_error": False, "result": "{}"}
        answer = json.dumps(line | {"structured_output": {"name": "abcdefghijklmnopqrstuvwxyzabcd1"}})
        bench.stand_in(f"echo '{answer}'")
        schema = {"type": "object", "properties": {"name": {"type": "string", "pattern": "^([a-z]+-?)+$"}}}
        invocation = await bench.converse("hi", json_schema=schema)
        with pytest.raises(AgentFailed, match="schema"):
            read_result(REQUEST.model_copy(update={"json_schema": schema}), invocation)

    async def test_a_cli_that_dies_says_how(self, bench: Bench) -> None:
        bench.stand_in("echo the reason >&2; exit 3")
        with pytest.raises(AgentFailed, match="the reason"):
            read_result(REQUEST, await bench.converse("hi"))
