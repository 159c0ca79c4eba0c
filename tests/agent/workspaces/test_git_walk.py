"""Whatever an agent does with git, its report is true and nothing is lost. `make git-walk` does it 2,000 times."""

import os
import random
from pathlib import Path

from git_walk import Field, Walk

SEQUENCES = int(os.environ.get("GIT_WALK_SEQUENCES", "12"))
SEED = int(os.environ.get("GIT_WALK_SEED", "0")) or random.randrange(1, 10**9)
A_FIELD = 25
"""So many sequences share one remote, which then has what they pushed."""


async def test_any_sequence_of_git_commands_is_told_as_it_was_and_loses_nothing(tmp_path: Path) -> None:
    print(f"GIT_WALK_SEED={SEED}")
    field = None
    differences = []
    for number in range(SEQUENCES):
        if field is None or number % A_FIELD == 0:
            field = Field(tmp_path / f"field-{number}")
        walk = Walk(SEED + number)
        try:
            await field.check(walk)
        except AssertionError as difference:
            differences.append(f"GIT_WALK_SEED={SEED + number}: {difference}\n{walk.script()}")
            field = None
    assert not differences, f"{len(differences)} of {SEQUENCES}\n\n" + "\n\n".join(differences[:5])
