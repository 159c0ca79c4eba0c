"""The Markdown report of a run, with its changes in git."""

from __future__ import annotations

from agent.domain.request import AgentRequest
from agent.domain.result import AgentResult, Outcome, WorkspaceReport
from agent.workspaces.kept_work import PREFIX
from tasks.agent_run.parent_triage import ParentTriage
from tasks.markdown import escaped, inert, quoted

_ANSWER_CHARACTERS = 50_000


def render_report(request: AgentRequest, outcome: Outcome, parent: ParentTriage | None = None) -> str:
    """Render the answer, the cost and the changes in git.

    Links and pictures in the agent's text have no effect: a reader's browser loads nothing that an agent names.
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


_FILES = 50
_STAT_LINES = 60


def render_changes(report: WorkspaceReport) -> str:
    """Render the commit the run started from, its commits, its changed files, and the ref of its unpushed work."""
    where = f"**{escaped(report.name)}** at **{escaped(report.ref)}**, from commit `{report.commit[:12]}`"
    lines = [f"## Changes in git\n\nWorkspace {where}."]
    if report.stale:
        lines.append(f"**Not up to date:** {escaped(report.stale_reason or '')}")
    lines += [f"**Note:** {escaped(note)}" for note in report.notes]
    if not report.commits and not report.files_changed:
        return "\n\n".join([*lines, "_Nothing was changed._"])
    commits = [
        f"- `{commit.sha[:12]}` {escaped(commit.subject)} ({'pushed' if commit.pushed else 'not pushed'})"
        for commit in report.commits
    ]
    files = [f"- {escaped(name)}" for name in report.files_changed[:_FILES]]
    if len(report.files_changed) > _FILES:
        files.append(f"- and {len(report.files_changed) - _FILES} more")
    if report.kept_ref:
        lines.append(f"Unpushed work is kept as `{report.kept_ref}`: `{_restore(report.kept_ref)}`")
    return "\n\n".join([*lines, "\n".join([*commits, *files])])


def render_diff(report: WorkspaceReport) -> str | None:
    """Render the diffstat and the diff, as far as it was stored; None if nothing changed."""
    if not report.diff:
        return None
    parts = ["## Diff", quoted(_shortened(report.diffstat)), quoted(report.diff.rstrip("\n"), "diff")]
    if report.diff_cut:
        all_of_it = f"`{_restore(report.kept_ref)}`" if report.kept_ref else "the commits that were pushed"
        parts.append(f"**Cut here**, after {len(report.diff):,} characters. All of it: {all_of_it}")
    return "\n\n".join(parts)


def _restore(kept_ref: str) -> str:
    return f"agent-service kept restore {kept_ref.removeprefix(PREFIX)}"


def _shortened(stat: str) -> str:
    """Return the first lines of a long diffstat and its last line, which has the totals."""
    lines = stat.rstrip("\n").split("\n")
    if len(lines) <= _STAT_LINES:
        return "\n".join(lines)
    return "\n".join([*lines[: _STAT_LINES - 2], f" … {len(lines) - _STAT_LINES + 1} more", lines[-1]])
