"""The demo's agents, as the offline model plays them when a prompt has no directive."""

import json
import re
import shlex

from demo.offline_model.conversation import AnsweredCall, Conversation
from demo.offline_model.inbox_verdicts import Verdict, first_line, judge
from demo.offline_model.schema_example import make_specimen
from demo.offline_model.script import ScriptStep, ToolCall

CONFESSION = "(I am the offline model: a script on this machine, not Claude. Set a key to hear from the real one.)"
INBOX_ITEM = re.compile(r"[\w./-]*inbox/[\w.-]*\w")
LISTED_ITEM = re.compile(r"^[\w.-]+\.(?:md|json|txt|eml)$", re.MULTILINE)
MOST_ITEMS = 10
COMMIT = (
    "git -c user.name='Offline Model' -c user.email=offline-model@example.invalid -c commit.gpgsign=false"
    " commit --quiet -m {message} && git log -1 --format='%h %s'"
)


def improvise(conversation: Conversation) -> ScriptStep:
    """Return the next step of the agent whose definition the model was given."""
    if "recruiter-triage" in conversation.system:
        return triage(conversation)
    if "beads-task-runner" in conversation.system:
        return run_task(conversation)
    return conclude(conversation, f"You asked: {shorten(conversation.prompt)}", judge(conversation.prompt))


def conclude(conversation: Conversation, text: str, verdict: Verdict) -> ScriptStep:
    """End with a text, or with an object where the caller gave a schema."""
    schema = conversation.tools.get("StructuredOutput")
    if schema is None:
        return ScriptStep(text=f"{text}\n\n{CONFESSION}", chunks=8)
    return ScriptStep(structured=make_specimen(schema, verdict.hints(), text))


def triage(conversation: Conversation) -> ScriptStep:
    """Read the items that the prompt names or the inbox holds, write a verdict on each, report."""
    match conversation.calls:
        case [*_, AnsweredCall(tool="Write")]:
            return report_verdicts(conversation)
        case [*_, AnsweredCall(tool="Read")]:
            return write_verdicts(conversation)
        case [*_, AnsweredCall(tool="Bash", result=listing)]:
            return read_items(conversation, [f"inbox/{name}" for name in LISTED_ITEM.findall(listing)])
        case _:
            return open_inbox(conversation)


def open_inbox(conversation: Conversation) -> ScriptStep:
    """Start with the files that are named, with a look into the inbox, or with the prompt as the item."""
    prompt = conversation.prompt
    if named := list(dict.fromkeys(INBOX_ITEM.findall(prompt))):
        return read_items(conversation, named)
    if "inbox" in prompt.lower():
        return ScriptStep(tool="Bash", input={"command": "ls inbox", "description": "List the inbox"})
    verdict = judge(prompt)
    return conclude(conversation, describe(verdict), verdict)


def read_items(conversation: Conversation, paths: list[str]) -> ScriptStep:
    """Read items of the inbox; with none there is nothing to do."""
    if not paths:
        return conclude(conversation, "The inbox is empty.", judge("The inbox is empty."))
    files = [path if path.startswith("/") else f"{{cwd}}/{path}" for path in paths[:MOST_ITEMS]]
    return ScriptStep(
        text="Let me read that first.",
        tools=tuple(ToolCall(tool="Read", input={"file_path": file}) for file in files),
    )


def write_verdicts(conversation: Conversation) -> ScriptStep:
    """Write a file beside the inbox for each item that could be read."""
    reads = [call for call in conversation.calls if call.tool == "Read" and not call.is_error]
    if not reads:
        text = f"I could not read it: {shorten(conversation.tool_result)}"
        return conclude(conversation, text, judge(conversation.prompt))
    return ScriptStep(tools=tuple(write_verdict(call) for call in reads))


def write_verdict(read: AnsweredCall) -> ToolCall:
    """Write the verdict on the item that `read` brought."""
    inbox, _, name = str(read.input["file_path"]).rpartition("/")
    file = f"{inbox.removesuffix('inbox')}triage/{name.rpartition('.')[0]}.md"
    content = judge(read.result).as_markdown(f"inbox/{name}")
    return ToolCall(tool="Write", input={"file_path": file, "content": content})


def report_verdicts(conversation: Conversation) -> ScriptStep:
    """Say what was decided, and where it was written."""
    reads = [call for call in conversation.calls if call.tool == "Read" and not call.is_error]
    writes = [call for call in conversation.calls if call.tool == "Write"]
    lines = [
        f"- triage/{str(write.input['file_path']).rpartition('/')[2]}: "
        + (f"could not be written: {shorten(write.result)}" if write.is_error else describe(judge(read.result)))
        for read, write in zip(reads, writes, strict=False)
    ]
    return conclude(conversation, "\n".join(["Triaged:", *lines]), judge(reads[0].result))


def describe(verdict: Verdict) -> str:
    """Put a verdict in one line."""
    return f"{verdict.priority} ({', '.join(verdict.labels)}) - {verdict.action}. {verdict.subject}: {verdict.summary}"


def run_task(conversation: Conversation) -> ScriptStep:
    """Take one open task, write down how it went, commit, report."""
    match conversation.calls:
        case []:
            return ScriptStep(
                tool="Bash", input={"command": "cat .beads/issues.jsonl", "description": "List the tasks"}
            )
        case [AnsweredCall(result=tasks)]:
            task = pick_task(tasks, conversation.prompt)
            return write_note(task) if task else conclude(conversation, "No task is open.", judge(""))
        case [AnsweredCall(result=tasks), AnsweredCall(is_error=False)]:
            task = pick_task(tasks, conversation.prompt)
            return close_task(task or {})
        case _:
            commit = first_line(conversation.tool_result)
            return conclude(conversation, f"The task is done: {commit}", judge(conversation.prompt))


def pick_task(tasks: str, prompt: str) -> dict[str, str] | None:
    """Return the open task that the prompt names, else the most pressing one."""
    parsed = [json.loads(line) for line in tasks.splitlines() if line.startswith("{")]
    ready = [task for task in parsed if task["status"] == "open"]
    named = [task for task in ready if task["id"] in prompt]
    return min(named or ready, key=lambda task: task["priority"], default=None)


def write_note(task: dict[str, str]) -> ScriptStep:
    """Do the task, as far as a script can."""
    content = f"# {task['title']}\n\n{task['description']}\n\nLooked at by the offline model; a person decides.\n"
    return ScriptStep(
        text=f"I take {task['id']}: {task['title']}.",
        tool="Write",
        input={"file_path": f"{{cwd}}/notes/{task['id']}.md", "content": content},
    )


def close_task(task: dict[str, str]) -> ScriptStep:
    """Mark the task closed, and commit the note with it."""
    closing = f'/"id": "{task["id"]}"/s/"status": "open"/"status": "closed"/'
    command = " && ".join(
        [
            f"sed -i {shlex.quote(closing)} .beads/issues.jsonl",
            "git add notes .beads",
            COMMIT.format(message=shlex.quote(f"{task['id']}: {task['title']}")),
        ]
    )
    return ScriptStep(tool="Bash", input={"command": command, "description": "Close and commit the task"})


def shorten(text: str) -> str:
    """Return text as one line of bearable length."""
    line = " ".join(text.split())
    return line if len(line) <= 200 else f"{line[:199]}…"
