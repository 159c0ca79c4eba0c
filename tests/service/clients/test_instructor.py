"""instructor against the running service with the real CLI."""

from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.client("instructor"), pytest.mark.long]

SIZE = {"name": "log", "bytes": 7, "owner": {"name": "ann"}}


@pytest.mark.shows("structured")
def test_an_object(run_program: Any, instructor_python: Path, script: Any) -> None:
    prompt = script({"structured": SIZE})
    program = Path(__file__).parent / "programs" / "use_instructor.py"
    assert run_program(instructor_python, program, prompt)["object"] == SIZE
