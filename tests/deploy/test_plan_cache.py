"""A plan is read back whole or not at all, by everyone who shares the folder."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from smlm_pipeline.deploy.plans.cache import Entry, PlanCache, Record, replace_file
from smlm_pipeline.deploy.plans.key import Choices, Gpu, PlanKey, sha256
from smlm_pipeline.deploy.plans.profiles import profiles
from smlm_pipeline.errors import OutputError, PlanError

GPU = Gpu("NVIDIA A10", "8.6", 72)
KEY = PlanKey("ab" * 32, "fp32", "10.13.3", GPU, Choices(), profiles("unet", largest_tile_px=64))
OTHER = replace(KEY, gpu=Gpu("NVIDIA L4", "8.9", 58))
PLAN = bytes(range(256)) * 40

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="plans are built on Linux")


def _entry(key: PlanKey = KEY, plan: bytes = PLAN) -> Entry:
    record = Record(
        model="unet",
        key=key.as_dict(),
        plan_sha256=sha256(plan),
        plan_bytes=len(plan),
        build_s=12.5,
        activation_bytes=(1, 2, 3, 4),
        largest_difference=2e-5,
        tolerance=1e-3,
        made_by="a test",
    )
    return Entry(plan, record)


@pytest.fixture
def cache(tmp_path: Path) -> PlanCache:
    return PlanCache(tmp_path / "cache", print)


def _names(cache_folder: Path) -> list[str]:
    return sorted(path.name for path in cache_folder.iterdir())


def test_what_is_stored_is_found_again(cache: PlanCache, tmp_path: Path) -> None:
    assert cache.find(KEY) is None
    cache.store(KEY, _entry())
    assert cache.find(KEY) == _entry()
    assert PlanCache(tmp_path / "cache", print).find(KEY) == _entry()
    assert cache.find(OTHER) is None
    assert _names(tmp_path / "cache") == [KEY.digest]
    assert _names(tmp_path / "cache" / KEY.digest) == ["model.plan", "plan.json"]


def test_the_sidecar_tells_key_and_difference(cache: PlanCache, tmp_path: Path) -> None:
    cache.store(KEY, _entry())
    told = json.loads((tmp_path / "cache" / KEY.digest / "plan.json").read_text())
    assert told["key"] == KEY.as_dict()
    assert told["key"]["tensorrt_version"] == "10.13.3"
    assert told["key"]["gpu"] == {
        "name": "NVIDIA A10",
        "compute_capability": "8.6",
        "multiprocessors": 72,
    }
    assert told["key"]["choices"] == {"tf32": False, "workspace_bytes": 1 << 30}
    assert (told["largest_difference"], told["tolerance"]) == (2e-5, 1e-3)


@pytest.mark.parametrize("name", ["model.plan", "plan.json"])
@pytest.mark.parametrize("content", [b"", b"{}", b'{"key": 3}', PLAN[:-1]])
def test_what_is_not_whole_is_not_found(
    name: str, content: bytes, cache: PlanCache, tmp_path: Path
) -> None:
    cache.store(KEY, _entry())
    (tmp_path / "cache" / KEY.digest / name).write_bytes(content)
    assert cache.find(KEY) is None
    cache.store(KEY, _entry())
    assert cache.find(KEY) == _entry()


@pytest.mark.parametrize("name", ["model.plan", "plan.json"])
def test_a_missing_file_is_not_found(name: str, cache: PlanCache, tmp_path: Path) -> None:
    cache.store(KEY, _entry())
    (tmp_path / "cache" / KEY.digest / name).unlink()
    assert cache.find(KEY) is None


def test_a_plan_under_the_name_of_another_is_not_found(cache: PlanCache, tmp_path: Path) -> None:
    """As after a copy by hand from a machine with another GPU."""
    cache.store(OTHER, _entry(OTHER))
    (tmp_path / "cache" / OTHER.digest).rename(tmp_path / "cache" / KEY.digest)
    assert cache.find(KEY) is None


def test_a_full_disk_leaves_what_was_there(
    cache: PlanCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.store(KEY, _entry())

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OutputError, match=r"to \(No space left on device\); .* --cache"):
            cache.store(KEY, _entry(plan=b"another"))
    assert cache.find(KEY) == _entry()
    assert _names(tmp_path / "cache") == [KEY.digest]


def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"plan cache .* cannot be written to .* with --cache"):
        PlanCache(tmp_path / "file" / "cache", print)


def test_timings_are_kept_for_a_version_and_a_gpu(cache: PlanCache) -> None:
    assert cache.timing_cache(KEY) == b""
    cache.keep_timing_cache(KEY, b"learnt")
    assert cache.timing_cache(replace(KEY, network_sha256="cd" * 32)) == b"learnt"
    assert cache.timing_cache(OTHER) == b""
    assert cache.timing_cache(replace(KEY, tensorrt_version="11.0.0")) == b""


def _build_unless_there(folder: Path, start: object, built: object) -> None:
    cache = PlanCache(folder, print)
    start.wait(60)  # type: ignore[attr-defined]
    with cache.locked(KEY):
        if cache.find(KEY) is None:
            built.put(os.getpid())  # type: ignore[attr-defined]
            cache.store(KEY, _entry())


def test_of_several_processes_one_builds(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    start, built = context.Barrier(3), context.Queue()
    arguments = (tmp_path / "cache", start, built)
    processes = [context.Process(target=_build_unless_there, args=arguments) for _ in range(3)]
    for process in processes:
        process.start()
    assert built.get(timeout=120) in {process.pid for process in processes}
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert built.empty()
    built.close()
    built.join_thread()


def test_a_wait_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smlm_pipeline.deploy.plans.cache._SILENT_S", 0.1)
    told: list[str] = []
    begun = threading.Event()

    def tell(line: str) -> None:
        told.append(line)
        begun.set()

    def wait() -> None:
        with PlanCache(tmp_path / "cache", tell).locked(KEY):
            told.append("locked")

    waiting = threading.Thread(target=wait)
    with PlanCache(tmp_path / "cache", told.append).locked(KEY):
        assert told == []
        waiting.start()
        assert begun.wait(60)
    waiting.join(60)
    assert told == ["waiting for another process that builds the same plan: minutes", "locked"]


@pytest.mark.parametrize("number", [errno.EACCES, errno.ENOLCK])
def test_a_lock_that_cannot_be_had(
    number: int, cache: PlanCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Modes do not stop root, and this file system has locks: the answer is made up."""

    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    if number == errno.EACCES:
        monkeypatch.setattr(Path, "open", refuse)
    else:
        monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(OutputError, match=r"to \(.*\); .* can lock files"), cache.locked(KEY):
        pytest.fail("it is locked")


def test_what_a_killed_process_left_goes(cache: PlanCache, tmp_path: Path) -> None:
    """Only what was of this key: another may be under way."""
    for key in (KEY, OTHER):
        left = tmp_path / "cache" / f".building-{key.digest}-x" / "entry"
        left.mkdir(parents=True)
        (left / "model.plan").write_bytes(PLAN)
    cache.store(KEY, _entry())
    assert _names(tmp_path / "cache") == sorted([f".building-{OTHER.digest}-x", KEY.digest])


def test_timings_that_cannot_be_read_are_none(cache: PlanCache, tmp_path: Path) -> None:
    cache.keep_timing_cache(KEY, b"learnt")
    (file,) = (tmp_path / "cache").glob("timing-*")
    file.unlink()
    file.mkdir()
    assert cache.timing_cache(KEY) == b""


def test_a_lock_of_one_key_leaves_others_free(cache: PlanCache) -> None:
    with cache.locked(KEY), cache.locked(OTHER):
        cache.store(OTHER, _entry(OTHER))
    with cache.locked(KEY):  # free again
        assert cache.find(OTHER) == _entry(OTHER)


def test_a_system_without_locks_says_so(cache: PlanCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smlm_pipeline.deploy.plans.cache.fcntl", None)
    with pytest.raises(PlanError, match="built where the server runs, on Linux"), cache.locked(KEY):
        pytest.fail("it is locked")


def test_a_file_is_replaced_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "model.plan"
    file.write_bytes(b"before")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            replace_file(file, b"after")
    assert file.read_bytes() == b"before"
    replace_file(file, b"after")
    assert file.read_bytes() == b"after"
    assert _names(tmp_path) == ["model.plan"]
    assert file.stat().st_mode & 0o444 == 0o444
