"""A brief run of `make scale-test`: two hosts on one Prefect, PostgreSQL and Redis, of which one is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.scale.cluster import open_cluster
from benchmarks.scale.programs import missing_programs
from benchmarks.scale.scale import Scale
from demo.offline_model.model import OfflineModel


@pytest.mark.long
async def test_hosts_share_the_work_and_outlive_each_other(tmp_path: Path) -> None:
    if missing := missing_programs():
        pytest.skip(f"needs {' and '.join(missing)}")
    with OfflineModel() as model, open_cluster(tmp_path / "cluster", model.url, hosts=2) as cluster:
        assert await Scale(cluster, model, jobs=12, seed=1).run() == []
