"""No secret in what is told of a run, however it comes."""

import random
from datetime import UTC, datetime

from agent.domain.events import Event, Said, TextDelta, ToolCalled, ToolReturned
from agent.domain.result import Invocation
from agent.redaction.redactor import Redactor
from agent.redaction.run_output import OutputRedactor, redact_invocation

SECRET = "a9F-very-secret-Token-0123456789"
REDACTOR = Redactor([SECRET])


def texts(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def test_a_secret_said_in_pieces_is_never_told_however_it_is_cut() -> None:
    whole = f"here it is: {SECRET}, all of it"
    for seed in range(50):
        chance = random.Random(seed)
        cuts = sorted(chance.sample(range(1, len(whole)), chance.randint(1, 12)))
        pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
        told = OutputRedactor(REDACTOR).pass_on([*(TextDelta(text=piece) for piece in pieces), Said(text=whole)])
        assert SECRET not in texts(told)
        assert texts(told) == REDACTOR.redact(whole)
        assert told[-1] == Said(text=REDACTOR.redact(whole))


def test_a_secret_in_a_tool_is_taken_out_of_its_input_and_its_result() -> None:
    call = ToolCalled(id="1", name="Bash", input={"command": f"echo {SECRET}", "list": [SECRET]})
    told = OutputRedactor(REDACTOR).pass_on([call, ToolReturned(id="1", text=SECRET)])
    assert SECRET not in repr(told)
    assert isinstance(told[0], ToolCalled)


def test_what_has_no_secret_passes_as_it_is() -> None:
    events: list[Event] = [TextDelta(text="hello "), TextDelta(text="world"), Said(text="hello world")]
    assert texts(OutputRedactor(REDACTOR).pass_on(events)) == "hello world"


def test_an_invocation_is_told_without_secrets_and_stays_json() -> None:
    now = datetime.now(UTC)
    line = f'{{"type": "result", "result": "it is {SECRET}\\nor so", "n": 1}}'
    given = Invocation(
        started_at=now,
        finished_at=now,
        ending="exit",
        acted=True,
        exit_code=0,
        result_line=line,
        printed=SECRET,
        stderr=f"x {SECRET}",
    )
    told = redact_invocation(REDACTOR, given)
    assert SECRET not in told.model_dump_json()
    clean = given.model_copy(update={"result_line": '{"a":  1}', "printed": "", "stderr": ""})
    assert redact_invocation(REDACTOR, clean) == clean
