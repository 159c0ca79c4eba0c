"""The readable side of a run, as Markdown."""

from __future__ import annotations

from agent.models import AgentRequest, AgentResult, Outcome
from agent.printable import escaped, inert
from tasks.family import Parent
from tasks.report_changes import render_changes

_ANSWER_CHARACTERS = 50_000


def render_report(request: AgentRequest, outcome: Outcome, parent: Parent | None = None) -> str:
    """What the agent answered, what it cost, and what changed in git.

    Whoever opens it follows no link of an agent's unawares, and loads nothing from where it says.
    """
    result = outcome.result
    parts = [_headline(request, outcome)]
    if parent is not None:
        parts.append(f"Part of {_link(f'triage of {parent.triage}', parent.url)}")
    if result is not None:
        parts += [_answer(result), _figures(result)]
        if result.workspace is not None:
            parts.append(render_changes(result.workspace))
    return "\n\n".join(parts)


def _headline(request: AgentRequest, outcome: Outcome) -> str:
    error = outcome.error or (outcome.result.error if outcome.result else None)
    asked = _quoted(inert(_excerpt(request.prompt, 600)))
    verdict = f"**It did not end well:** {escaped(error)}\n\n" if error else ""
    return f"# {escaped(request.agent)}\n\n{verdict}{asked}"


def _link(text: str, url: str | None) -> str:
    return f"[{escaped(text)}]({url})" if url else escaped(text)


def _answer(result: AgentResult) -> str:
    if not result.text:
        return "_No answer._"
    return f"## Answer\n\n{inert(_excerpt(result.text, _ANSWER_CHARACTERS))}"


def _figures(result: AgentResult) -> str:
    usage = result.usage
    cost = "unknown" if result.cost_usd is None else f"${result.cost_usd:.4f}"
    rows = {
        "Cost": cost,
        "Tokens in": f"{usage.prompt_tokens:,} ({usage.cache_read_input_tokens:,} from the cache)",
        "Tokens out": f"{usage.output_tokens:,}",
        "Duration": f"{result.duration_seconds:.1f} s",
        "Turns": "unknown" if result.turns is None else str(result.turns),
        "Model": escaped(result.model or "unknown"),
        "Exit code": "none" if result.exit_code is None else str(result.exit_code),
    }
    head, *lines = [f"| {name} | {value} |" for name, value in rows.items()]
    return "\n".join([head, "|---|---|", *lines])


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}" for line in text.splitlines())


def _excerpt(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]}…\n\n({len(text):,} characters in all)"
