"""What ``recon-bench gpu-check`` reports, and what counts as a failure."""

from __future__ import annotations

from smlm_bench.gpu import check
from smlm_bench.gpu.load import LoadResult
from smlm_bench.gpu.report import Findings, as_markdown
from smlm_bench.gpu.server import ServerSpeed
from smlm_bench.gpu.wrapping import (
    STUB_DEAD,
    WrappingShape,
)
from smlm_pipeline import contract

MODEL = contract.RECONSTRUCTION.name
SPEED = ServerSpeed(MODEL, "FP16", 64, 16, 3000.4, 2000, 1000.6, 17424.25)


def test_the_report_says_first_what_failed() -> None:
    found = Findings(
        "GPU: NVIDIA X",
        against_cpu={MODEL: (2.5, 0.99)},
        speeds=[SPEED],
        loads=[LoadResult(MODEL, "as sized", 384, 3, 1), LoadResult(MODEL, "64 MiB", 384, 2, 9)],
    )
    report = as_markdown(found)
    assert report.startswith("# GPU check\n\nGPU: NVIDIA X\n\n## Result\n\n- FAILED: ")
    assert f"{MODEL}: 2.50 % NMSE between the GPU's image and the CPU's" in report
    assert f"{MODEL}, CUDA pool as sized: 3 answers under load differ" in report
    assert f"{MODEL}, CUDA pool 64 MiB: 2 answers under load differ" in report
    assert f"{MODEL}: 1 requests were refused, for which the CUDA pool should have room" in report
    assert "9 requests were refused" not in report
    assert "was never full" not in report
    assert f"| {MODEL} | FP16 | 64 | 16 | 3000 | 2000 | 1001 | 17424 |" in report
    assert "Nothing was left out." in report


def test_a_small_pool_that_was_never_full_proves_nothing() -> None:
    found = Findings("GPU: NVIDIA X", loads=[LoadResult(MODEL, "64 MiB", 384, 0, 0)])
    (failure,) = found.failures()
    assert failure.startswith(f"{MODEL}: a CUDA pool of 64 MiB was never full")


def test_a_process_that_ends_by_tritons_fault_is_no_failure() -> None:
    dead = WrappingShape("summation", "DETECTIONS (4,)", STUB_DEAD, "StatusCode.INTERNAL: no stub")
    found = Findings("GPU: NVIDIA X", wrapping=[dead])
    assert found.failures() == []
    report = as_markdown(found)
    assert "| summation | DETECTIONS (4,) | stub dead | StatusCode.INTERNAL: no stub |" in report


def test_make_runs_it_on_the_checkout() -> None:
    makefile = (check.CHECKOUT / "Makefile").read_text()
    assert "recon-bench gpu-check -o gpu-report.md" in makefile
    assert (check.CHECKOUT / "docker" / "server" / "Dockerfile").exists()
