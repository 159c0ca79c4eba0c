"""The benchmark of the cell's price still measures; what it measures is for `python -m benchmarks.cell_price`."""

from pathlib import Path

import pytest

from agent.sandbox import probe_sandbox
from benchmarks import cell_price
from demo.model import OfflineModel


@pytest.mark.skipif(probe_sandbox("auto").bubblewrap is None, reason="needs bubblewrap")
async def test_cold_starts_are_measured_in_a_cell_and_without(tmp_path: Path, offline_model: OfflineModel) -> None:
    pairs = await cell_price.cold_starts(tmp_path, offline_model.url, 1, warm_up=0)
    assert len(pairs) == 1
    assert all(milliseconds > 50 for milliseconds in pairs[0])


def test_what_counts_is_the_median_of_the_ratios(capsys: pytest.CaptureFixture[str]) -> None:
    assert cell_price.report("x", [(110, 100), (330, 300), (900, 100)]) == pytest.approx(1.1)
    assert "x, minimum" in capsys.readouterr().out
