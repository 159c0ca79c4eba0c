"""What a run changed in git, as people read it in Prefect's UI."""

from agent.domain.result import Commit, WorkspaceReport
from tasks.agent_run.report import render_changes, render_diff

STAT = " a.txt | 1 +\n 1 file changed, 1 insertion(+)\n"
DIFF = "diff --git a/a.txt b/a.txt\n+a line\n"


def report(**members: object) -> WorkspaceReport:
    given = {"name": "default", "ref": "main", "commit": "0" * 40, "files_changed": ["a.txt"], "diff": DIFF}
    return WorkspaceReport.model_validate({**given, "diffstat": STAT, **members})


def test_a_diff_is_shown_after_its_files() -> None:
    assert render_diff(report()) == f"## Diff\n\n```text\n{STAT}```\n\n```diff\n{DIFF}```"
    assert render_diff(report(diff="", files_changed=[])) is None


def test_a_diff_that_was_cut_says_how_to_see_all_of_it() -> None:
    kept = render_diff(report(diff_cut=True, kept_ref="refs/agent-runs/run-1"))
    assert str(kept).endswith("after 35 characters. All of it: `agent-service kept restore run-1`")
    pushed = render_diff(report(diff_cut=True))
    assert str(pushed).endswith("All of it: the commits that were pushed")


def test_of_many_files_the_first_are_listed_and_the_sums() -> None:
    lines = [f" {number}.txt | 1 +" for number in range(300)]
    shown = str(render_diff(report(diffstat="\n".join([*lines, " 300 files changed"]))))
    assert " 57.txt | 1 +\n … 242 more\n 300 files changed\n```" in shown
    assert "58.txt" not in shown


def test_nothing_in_a_diff_ends_its_block_or_hides_in_it() -> None:
    hostile = "+```\n+<script>alert(1)</script>\n+\x1b[2J````\u202e\n"
    shown = str(render_diff(report(diff=hostile)))
    assert shown.endswith("`````diff\n+```\n+<script>alert(1)</script>\n+````\n`````")


def test_what_a_reader_must_know_is_told_even_of_a_run_that_changed_nothing() -> None:
    said = render_changes(report(files_changed=[], stale=True, stale_reason="no route", notes=["wt was too large"]))
    assert "**Not up to date:** no route" in said
    assert "**Note:** wt was too large" in said
    assert said.endswith("_Nothing was changed._")


def test_commits_say_whether_they_were_pushed_and_how_the_rest_comes_back() -> None:
    commits = [
        Commit(sha="1" * 40, subject="one | <b>", pushed=True),
        Commit(sha="2" * 40, subject="two", pushed=False),
    ]
    said = render_changes(report(commits=commits, kept_ref="refs/agent-runs/run-1"))
    assert "- `111111111111` one \\| \\<b\\> (pushed)\n- `222222222222` two (not pushed)\n- a\\.txt" in said
    assert "`refs/agent-runs/run-1`: `agent-service kept restore run-1`" in said
