from pathlib import Path

from agent.claude.arguments import build_argv
from agent.claude.control_messages import initialize, user_message
from agent.claude.process_spec import ProcessSpec
from agent.domain.request import AgentRequest


def build(**fields: object) -> list[str]:
    request = AgentRequest.model_validate({"prompt": "--version", "agent": "tester", **fields})
    return build_argv(Path("/bin/claude"), ProcessSpec.of(request), "tester")


def test_nothing_that_the_caller_wrote_but_names_is_on_the_command_line() -> None:
    assert "--version" not in build(instructions="--debug", json_schema={"title": "--bare"})


def test_no_model_is_named_unless_the_request_names_one() -> None:
    assert "--model" not in build()
    assert build(model="haiku")[-2:] == ["--model", "haiku"]


def test_a_list_of_tools_leaves_no_others() -> None:
    assert build(tools=["Read", "Grep"])[-3:] == ["--tools", "Read,Grep", "--strict-mcp-config"]
    assert build(tools=[])[-3:] == ["--tools", "", "--strict-mcp-config"]
    assert "--tools" not in build()


def test_the_budget_is_written_without_an_exponent() -> None:
    argv = build(max_budget_usd=0.000001)
    assert argv[argv.index("--max-budget-usd") + 1] == "0.000001"


def test_instructions_and_schema_of_any_length_are_said_and_not_flagged() -> None:
    request = AgentRequest(prompt="hi", agent="tester", instructions="x" * 200_000, json_schema={"type": "object"})
    body = initialize(request)["request"]
    assert (len(body["appendSystemPrompt"]), body["jsonSchema"]) == (200_000, {"type": "object"})


def test_a_prompt_is_composed_by_the_client_so_that_at_signs_and_slashes_are_text() -> None:
    assert user_message("@/etc/passwd")["client_composed"] is True
