"""The layout of the code: packages say their promise, names are unique, folders stay small, old names are gone.

What may import what is checked by import-linter: `make lint`.
"""

import ast
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PRODUCT = ["agent", "store", "tasks", "flows", "deployments", "api", "cli"]
LAYERS = [*PRODUCT, "demo", "benchmarks"]
PACKAGES = sorted(path.parent for layer in LAYERS for path in (ROOT / layer).rglob("__init__.py"))
MOST_ENTRIES = 15
DATA_FOLDERS = {"deployments/docker", "deployments/kubernetes", "deployments/observability", "deployments/systemd"}
QUESTIONS = {"What", "Whether", "Who", "Whom", "Whose", "How", "Where", "When", "Why", "Which", "Since"}

# names that the code had for its own things before it took the field's words for them
OLD_CLASSES = """
    AgentWork Asked Attendance Berth Berths Bound Call Caller Calls Cancelling Catalogue CellPlan Censor Chosen Claim
    Conversation Destinations Disk Door Egress Enclosure Ending Endings Filler Follower Free Given Group Handling
    Happened HeadStart Hold HostParts InFlight Kept Leavings Leftovers Limits Listed LostTips Marks Meter Missed Mold
    NotClaimed Page Parent Parked Parts Place Preparation Private Program ProgramFailed Results Resuming Round Routes
    RunElsewhere RunHere Settling Spending Switch Tally Terms Tips Transcript TriageWork Trouble Turns Unexpected Upkeep
    Wanted WarmTally Watcher Whereabouts Wish Work World
"""
OLD_FUNCTIONS = """
    anybody begins_to_hear break_off can_part carry_on censored censored_report drop_set_aside examine exchange
    find_by_cookie for_any gated give_back is_deserted is_no_fault_of_files is_parting is_roused judge judge_ending
    judge_overload lately list_set_aside look_into look_up meanwhile no_step often overdraw put_aside read_tips
    reap_strays roused seen_at send_away set_aside suits suits_any_agent tell_credential uninterrupted way_out wishes
"""
OLD_MODULES = """
    attend attendance berths carry catalogue censor collecting conclusions descendants destinations door egress_request
    elsewhere enclosure endings examination family figures filler footprint handling_round head_start in_flight
    insisting interruption item_ending leavings leftovers lifeline lost mold moment narration_lines patience places
    printable prefect_calls resuming run_elsewhere run_here run_marks secret_shapes setaside settling sight spending
    streak tally tidying tips trouble upkeep warm_tally watching way_out wishes
"""
OLD_WORDS = re.compile(r"\b(berths?|molds?|enclosures?|way_out|insisting|setaside|lifeline|leavings)\b", re.IGNORECASE)


def modules() -> Iterator[tuple[Path, ast.Module]]:
    for layer in LAYERS:
        for source in sorted((ROOT / layer).rglob("*.py")):
            yield source.relative_to(ROOT), ast.parse(source.read_text())


@pytest.mark.parametrize("package", [str(package.relative_to(ROOT)) for package in PACKAGES])
def test_a_package_says_its_promise_and_does_nothing(package: str) -> None:
    tree = ast.parse((ROOT / package / "__init__.py").read_text())
    assert ast.get_docstring(tree), "one docstring: the promise, the front door, what it imports"
    assert len(tree.body) == 1, "nothing but its docstring"


def test_no_folder_of_code_or_tests_is_crowded() -> None:
    tests = [path for path in (ROOT / "tests").rglob("*") if path.is_dir() and "node_modules" not in path.parts]
    crowded = {}
    for folder in [*PACKAGES, *tests, ROOT / "tests"]:
        entries = {entry for entry in folder.iterdir() if entry.name not in {"__pycache__", "node_modules"}}
        entries -= {ROOT / data for data in DATA_FOLDERS}
        if len(entries) > MOST_ENTRIES + (folder == ROOT / "tests"):
            crowded[str(folder.relative_to(ROOT))] = len(entries)
    assert crowded == {}


def test_files_of_tests_have_names_of_their_own() -> None:
    """Pytest imports them without packages: two files of one name are one module."""
    names = [path.name for path in (ROOT / "tests").rglob("*.py") if "node_modules" not in path.parts]
    assert sorted({name for name in names if names.count(name) > 1}) == ["conftest.py"]
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def test_a_public_class_name_stands_for_one_thing() -> None:
    places = defaultdict(list)
    for source, tree in modules():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(str(source))
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_module_docstrings_say_what_the_module_is() -> None:
    docstrings = {str(source): ast.get_docstring(tree) for source, tree in modules()}
    assert [source for source, text in docstrings.items() if text and text.split()[0] in QUESTIONS] == []


def test_every_module_of_the_product_says_what_it_is() -> None:
    assert [
        str(source) for source, tree in modules() if source.parts[0] in PRODUCT and not ast.get_docstring(tree)
    ] == []


def test_nothing_is_called_by_its_old_name() -> None:
    old = []
    for source, tree in modules():
        if source.parts[0] not in PRODUCT:
            continue
        if source.stem in OLD_MODULES.split():
            old.append(str(source))
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and node.name in OLD_CLASSES.split():
                old.append(f"{source}: class {node.name}")
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name in OLD_FUNCTIONS.split():
                old.append(f"{source}: def {node.name}")
    assert old == []


def test_no_text_uses_the_old_words() -> None:
    texts = [
        path
        for pattern in ("*.py", "*.md", "*.yaml", "*.example", "*.mjs")
        for path in ROOT.rglob(pattern)
        if not {".venv", "node_modules", ".git"} & set(path.relative_to(ROOT).parts) and path != Path(__file__)
    ]
    found = {str(path.relative_to(ROOT)): set(OLD_WORDS.findall(path.read_text())) for path in texts}
    assert {name: words for name, words in found.items() if words} == {}


def test_the_runtime_imports_without_prefect_in_a_fraction_of_its_time() -> None:
    """Measured against Prefect's own import, in time of the processor: what else the machine does is not in it."""
    modules = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in (ROOT / "agent").rglob("[!_]*.py")]
    ours = min(import_seconds(";".join(f"import {name}" for name in modules)) for _ in range(2))
    assert ours < 0.6 * import_seconds("import prefect, prefect.flow_engine")


def import_seconds(statement: str) -> float:
    code = f"import time; t = time.process_time(); {statement}; print(time.process_time() - t)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return float(done.stdout)


def test_importing_the_runtime_does_not_import_prefect() -> None:
    code = "import sys, agent.runtime; print([name for name in ('prefect', 'fastapi') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"
