"""The benchmark of the cell's price still measures; what it measures is for `python -m benchmarks.cases.cell_price`."""

from pathlib import Path

import pytest

from agent.sandbox.probe import probe_sandbox
from benchmarks.cases import cell_price
from benchmarks.timing import Timing
from demo.offline_model.model import OfflineModel


@pytest.mark.skipif(probe_sandbox("auto").bubblewrap is None, reason="needs bubblewrap")
async def test_cold_starts_are_measured_in_a_cell_and_without(tmp_path: Path, offline_model: OfflineModel) -> None:
    pairs = await cell_price.cold_starts(tmp_path, offline_model.url, 1, warm_up=0)
    assert len(pairs) == 1
    assert all(milliseconds > 50 for milliseconds in pairs[0])


def test_each_way_is_held_to_its_own_bound() -> None:
    slow = {"hot, in a cell": [120.0], "hot": [100.0], "any, in a cell": [105.0], "any": [100.0]}
    answers = {name: [Timing(value, value) for value in values] for name, values in slow.items()}
    found = cell_price.compare([(110, 100), (330, 300), (900, 100)], answers)
    assert [round(one.ratio, 2) for one in found] == [1.1, 1.2, 1.05]
    assert [one.is_held for one in found] == [True, False, True]
