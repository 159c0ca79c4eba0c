"""Each state directory has a host id of its own, also a copy of another: copies do not share claims."""

from __future__ import annotations

import shutil
from pathlib import Path
from uuid import uuid4

import pytest

from deployments.host.run_records import RunRecords


@pytest.fixture
def original(tmp_path: Path) -> RunRecords:
    return RunRecords(tmp_path / "original")


def test_a_host_has_the_same_id_after_each_start(tmp_path: Path, original: RunRecords) -> None:
    again = RunRecords(tmp_path / "original")
    assert again.host_id == original.host_id
    assert again.is_own_claim(original.claim)
    assert not again.is_own_claim("taken by the host of another machine")
    assert not again.is_own_claim(original.host_id)
    assert not again.is_own_claim(None)


def test_an_id_of_an_earlier_version_is_kept(tmp_path: Path) -> None:
    (tmp_path / "host").mkdir()
    (tmp_path / "host" / "id").write_text("abc\n")
    assert [RunRecords(tmp_path).host_id for _ in range(2)] == ["abc", "abc"]


def test_a_copy_beside_its_original_leaves_the_original_s_runs_alone(tmp_path: Path, original: RunRecords) -> None:
    run_id = uuid4()
    with original.recorded(run_id):
        shutil.copytree(tmp_path / "original", tmp_path / "copy")
        copy = RunRecords(tmp_path / "copy")
        assert copy.host_id != original.host_id
        assert copy.left_behind() == []
        assert not copy.is_own_claim(original.claim)
        assert not original.is_own_claim(copy.claim)
        assert RunRecords(tmp_path / "copy").host_id == copy.host_id
        assert (tmp_path / "original" / "host" / "runs" / str(run_id)).exists()


def test_a_copy_with_its_own_prefect_server_settles_what_the_copied_one_left(
    tmp_path: Path, original: RunRecords
) -> None:
    run_id = uuid4()
    with original.recorded(run_id):
        shutil.copytree(tmp_path / "original", tmp_path / "copy")
    copy = RunRecords(tmp_path / "copy", is_alone=True)
    assert copy.left_behind() == [run_id]
    assert copy.is_own_claim(original.claim)
    shutil.copytree(tmp_path / "copy", tmp_path / "second")
    second = RunRecords(tmp_path / "second", is_alone=True)
    assert second.is_own_claim(original.claim)
    assert second.is_own_claim(copy.claim)
