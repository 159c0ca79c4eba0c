"""What a run changed in git, as Markdown: in short, and as a diff."""

from __future__ import annotations

from agent.kept import PREFIX
from agent.models import WorkspaceReport
from agent.printable import escaped, quoted

_FILES = 50
_STAT_LINES = 60


def render_changes(report: WorkspaceReport) -> str:
    """Where the run started from, its commits, the files it changed, and where its unpushed work is."""
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
    """The changes file by file, then line by line as far as they are shown; None where there are none."""
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
    """The beginning of a long list of files, and its last line, which has the sums."""
    lines = stat.rstrip("\n").split("\n")
    if len(lines) <= _STAT_LINES:
        return "\n".join(lines)
    return "\n".join([*lines[: _STAT_LINES - 2], f" … {len(lines) - _STAT_LINES + 1} more", lines[-1]])
