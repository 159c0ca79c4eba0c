"""`agent-service triage`."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote, urlencode

import httpx
import typer

from cli.client.service import reach_service
from cli.display.formatting import dollars
from cli.display.json_output import print_json
from cli.display.table import show_table
from cli.exit_status import OF_JOB

HELP = "Run a triage of prefect.yaml now and print its report, or list what it would do, or what is known of its items."

_LOOK_SECONDS = 0.5


def triage(
    name: Annotated[
        str | None, typer.Argument(help="The name of a triage in prefect.yaml; without one, they are listed.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the items and the maximum cost; start no agent.")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Include items that were handled before, or set aside.")
    ] = False,
    items: Annotated[bool, typer.Option("--items", help="List what is known of its items; start no agent.")] = False,
    find: Annotated[
        str | None, typer.Option("--find", help="List items with this text in title, key or verdict.")
    ] = None,
    item: Annotated[
        str | None, typer.Option("--item", metavar="KEY", help="That item alone, by its key or the end of it.")
    ] = None,
    show_prompt: Annotated[
        bool, typer.Option("--show-prompt", help="With --item: print what an agent would get; start none.")
    ] = False,
    replay: Annotated[
        bool, typer.Option("--replay", help="With --item: judge it once more and compare; change nothing known.")
    ] = False,
    prompt: Annotated[
        Path | None, typer.Option("--prompt", metavar="FILE", help="With --item: this template, not the register's.")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Handle at most this many items.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Run or plan a triage, or list what is known; HELP is its help text."""
    with reach_service() as service:
        if name is None:
            triages = service.get("/triage").json()["triages"]
            print_json(triages) if as_json else _show_triages(triages)
            return
        if items or find is not None:
            found = _known_items(service, name, find)
            print_json(found) if as_json else _show_items(found)
            return
        if item is not None and (show_prompt or replay):
            chosen = {"key": item, "prompt": prompt.read_text() if prompt else None}
            act = _replay if replay else _show_prompt
            raise typer.Exit(act(service, name, chosen, as_json))
        if show_prompt or replay or prompt is not None:
            raise typer.BadParameter("--show-prompt, --replay and --prompt need --item KEY")
        if dry_run:
            plan = service.post(f"/triage/{name}/plan", json={"again": again}).json()
            print_json(plan) if as_json else _show_plan(plan)
            return
        body: dict[str, Any] = {"again": again or item is not None, "limit": limit}
        if item is not None:
            body["keys"] = [service.post(f"/triage/{name}/prompt", json={"key": item}).json()["key"]]
        started = service.post(f"/triage/{name}", json=body).json()
        print(f"run {started['flow_run_url']}", file=sys.stderr)
        job = _finish(service, started["job_id"])
    if as_json:
        print_json(job.get("structured"))
    elif job.get("result"):
        _show_report(job["result"])
    if job["status"] != "completed":
        cause = f": {job['error']}" if job.get("error") else ""
        print(f"agent-service: the triage ended as {job['status']}{cause}", file=sys.stderr)
    raise typer.Exit(OF_JOB[job["status"]])


def _show_prompt(service: httpx.Client, name: str, chosen: dict[str, Any], as_json: bool) -> int:
    found = service.post(f"/triage/{name}/prompt", json=chosen).json()
    if as_json:
        print_json(found)
        return 0
    request = found["request"]
    print(f"# instructions\n{request['instructions']}\n\n# prompt\n{request['prompt']}")
    return 0


def _replay(service: httpx.Client, name: str, chosen: dict[str, Any], as_json: bool) -> int:
    """Judge the item once more, and print what differs from its last verdict."""
    started = service.post(f"/triage/{name}/replay", json=chosen).json()
    print(f"run {started['flow_run_url']}", file=sys.stderr)
    job = _finish(service, started["job_id"])
    key = service.post(f"/triage/{name}/prompt", json={"key": chosen["key"]}).json()["key"]
    known = service.get(f"/triage/{quote(name, safe='')}/items", params={"key": key}).json()["items"]
    before = known[0] if known else {}
    now = job.get("structured") if job.get("structured") is not None else job.get("result")
    if as_json:
        print_json({"key": key, "before": before.get("verdict"), "now": now, "job": job})
    else:
        _show_difference(before, now, job)
    return OF_JOB[job["status"]]


def _show_difference(before: dict[str, Any], now: Any, job: dict[str, Any]) -> None:
    then = before.get("verdict")
    old, new = (one if isinstance(one, dict) else {"answer": one} for one in (then, now))
    rows = [
        (
            member,
            _word(old.get(member)),
            _word(new.get(member)),
            "" if old.get(member) == new.get(member) else "differs",
        )
        for member in dict.fromkeys([*old, *new])
    ]
    rows.append(("cost", dollars(before.get("cost_usd") or 0), dollars(job.get("cost_usd") or 0), ""))
    show_table(("MEMBER", "KNOWN", "NOW", ""), rows, empty="no verdict")
    if job.get("error"):
        print(f"agent-service: the replay ended as {job['status']}: {job['error']}", file=sys.stderr)


def _word(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _known_items(service: httpx.Client, name: str, text: str | None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    address: str | None = f"/triage/{quote(name, safe='')}/items?{urlencode({'q': text} if text else {})}"
    while address is not None:
        page = service.get(address).json()
        found += page["items"]
        address = page["next"]
    return found


def _show_triages(triages: list[dict[str, Any]]) -> None:
    rows = [
        (
            one["name"],
            "paused" if one["paused"] else ", ".join(one["schedules"]) or "no schedule is switched on",
            one["error"] or ", ".join(f"{number} {status}" for status, number in one["items"].items()) or "nothing yet",
        )
        for one in triages
    ]
    show_table(("TRIAGE", "SCHEDULE", "ITEMS"), rows, empty="no triages in prefect.yaml")


def _show_items(items: list[dict[str, Any]]) -> None:
    rows = [(one["key"], one["status"], str(one["attempts"]), _said(one), one["title"]) for one in items]
    show_table(("KEY", "STATUS", "ATTEMPTS", "VERDICT", "ITEM"), rows, empty="no items")


def _said(item: dict[str, Any]) -> str:
    verdict = item["error"] if item["status"] in ("failed", "set aside") else item["verdict"]
    if isinstance(verdict, dict):
        return ", ".join(f"{name}: {value}" for name, value in verdict.items())
    return "" if verdict is None else str(verdict)


def _finish(service: httpx.Client, job_id: str) -> dict[str, Any]:
    while True:
        job: dict[str, Any] = service.get(f"/jobs/{job_id}").json()
        if job["status"] != "running":
            return job
        time.sleep(_LOOK_SECONDS)


def _show_report(report: str) -> None:
    if not sys.stdout.isatty():
        print(report)
        return
    from rich.console import Console
    from rich.markdown import Markdown

    Console().print(Markdown(report))


def _show_plan(plan: dict[str, Any]) -> None:
    rows = [(item["key"], item["title"], item["error"] or "") for item in plan["items"]]
    show_table(("KEY", "ITEM", "NOTE"), rows, empty="no items")
    counts = {
        "listed": plan["listed"],
        "to handle": len(plan["items"]),
        "handled before": plan["handled_before"],
        "at work elsewhere": plan["elsewhere"],
        "waiting": plan["waiting"],
        "set aside": len(plan["set_aside"]),
    }
    say = _say_on_terminal if sys.stdout.isatty() else _say_beside
    say(f"{plan['name']}: {', '.join(f'{number} {what}' for what, number in counts.items())}")
    say(f"It may cost at most {dollars(plan['max_cost_usd'] or 0)}. No agent was started.")
    for trouble in (*plan["notes"], *plan["problems"]):
        say(f"! {trouble}")


def _say_on_terminal(line: str) -> None:
    print(line)


def _say_beside(line: str) -> None:
    """Print to stderr: a program reads the items alone on stdout."""
    print(line, file=sys.stderr)
