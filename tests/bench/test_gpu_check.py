"""``make gpu-check``, as far as it goes without a GPU: what it measures, decides and writes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from smlm_bench import cli
from smlm_bench.gpu import check, containers, kernels, wrapping
from smlm_bench.gpu.films import FILMS
from smlm_bench.gpu.kernels import KernelSpeed
from smlm_bench.gpu.load import LoadResult, answers_alone
from smlm_bench.gpu.report import Findings
from smlm_bench.gpu.server import Server, ServerSpeed
from smlm_pipeline import contract
from smlm_pipeline.engines import opening
from smlm_pipeline.engines.canary import Canary
from smlm_pipeline.engines.embedded import EmbeddedServer
from smlm_pipeline.errors import DeviceError, ReconError, ServerError

MODEL = contract.RECONSTRUCTION.name
SPEED = ServerSpeed(MODEL, "FP16", 64, 16, 3000.4, 2000, 1000.6, 17424.25)


def _check(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli.app, ["gpu-check", *arguments])
    return result.exit_code, " ".join(result.output.split())


def _without_docker(monkeypatch: pytest.MonkeyPatch, *speeds: KernelSpeed) -> None:
    monkeypatch.setattr(check, "_gpus", lambda: "NVIDIA X, 600.1, 9.0")
    monkeypatch.setattr(containers, "docker_is_there", lambda: False)
    if speeds:
        monkeypatch.setattr(kernels, "measure", lambda *_, **__: list(speeds))


# --- what there is --------------------------------------------------------------------------


def test_without_a_gpu_it_fails_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "_gpus", lambda: "")
    code, told = _check("-o", str(tmp_path / "report.md"))
    assert code == 4
    assert "no NVIDIA GPU" in told
    assert "no report was written" in told
    assert list(tmp_path.iterdir()) == []


def test_a_gpu_without_docker_checks_the_kernels_and_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _without_docker(monkeypatch, KernelSpeed("draw", 64, 1, True, 1e5, 9))
    code, _ = _check("-o", str(tmp_path / "report.md"))
    report = (tmp_path / "report.md").read_text()
    assert code == 0
    assert "GPU: NVIDIA X, 600.1, 9.0" in report
    assert "- left out: all that needs Docker" in report
    assert "| draw | 64 | 1 | yes | 100000 | 9 |" in report


def test_a_gpu_with_neither_docker_nor_cupy_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _without_docker(monkeypatch)
    monkeypatch.setitem(sys.modules, "cupy", None)
    code, told = _check("-o", str(tmp_path / "report.md"))
    assert code == DeviceError.exit_code
    assert "neither Docker nor CuPy" in told
    assert ".venv/bin/pip install -e '.[gpu]'" in told
    assert "- FAILED: the check ended early: there is" in (tmp_path / "report.md").read_text()


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (RuntimeError("cudaErrorDevicesUnavailable"), 4, "CuPy cannot use the GPU (cudaError"),
        (KeyError("draw"), 1, "unexpected KeyError: 'draw'; please report this"),
    ],
)
def test_an_error_is_one_message_and_stands_in_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, code: int, words: str
) -> None:
    def fail(*_: object) -> None:
        raise error

    _without_docker(monkeypatch)
    monkeypatch.setattr(kernels, "measure", fail)
    ended, told = _check("-o", str(tmp_path / "report.md"))
    assert ended == code
    assert words in told
    assert "Traceback" not in told
    assert f"- FAILED: the check ended early: {words}" in (tmp_path / "report.md").read_text()


def test_other_bits_fail_the_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _without_docker(monkeypatch, KernelSpeed("draw", 64, 8, False, 1, 1))
    code, told = _check("-o", str(tmp_path / "report.md"))
    assert code == 1
    assert "draw, 64 px, 8 frames: not NumPy's bits" in told
    assert "- FAILED: draw, 64 px" in (tmp_path / "report.md").read_text()


# --- kernels --------------------------------------------------------------------------------


def test_kernels_alone_need_neither_triton_nor_tensorflow() -> None:
    """They run inside of the image, which has Numba: the host draws by it."""
    code = (
        "import sys\n"
        "from smlm_bench.cli import app\n"
        "try:\n"
        "    app(['gpu-kernels'])\n"
        "except SystemExit as end:\n"
        "    assert end.code in (0, 4)\n"
        "print(*{m.split('.')[0] for m in sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    loaded = set(done.stdout.split())
    assert "smlm_bench" in loaded
    assert loaded.isdisjoint({"keras", "tensorflow", "tifffile", "tritonclient"})


# --- a server -------------------------------------------------------------------------------


@pytest.mark.triton
@pytest.mark.parametrize("model", check.ENSEMBLES)
def test_a_server_is_loaded_and_measured(
    triton: EmbeddedServer, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, told = Findings("a machine"), list[str]()
    server = Server(triton.address, triton.metrics_url)
    check.under_load(found, server, model, (2, 64), under_way=2)
    assert found.loads == [LoadResult(model, "as sized", 6, wrong=0, refused=0)]
    monkeypatch.setattr(contract.Answer, "frames_most", lambda *_: 4)
    check.measure_all(
        found, server, model, "FP32", told.append, sizes_px=(64,), batches=(2, 4), megapixels=0.03
    )
    assert [(each.precision, each.batch) for each in found.speeds] == [("FP32", 2), ("FP32", 4)]
    for speed in found.speeds:
        assert speed.server_per_s > 0
        assert speed.end_to_end_per_s > 0
        assert speed.network_per_s > 0
        assert speed.bytes_to_host_per_frame == 0, "nothing is copied from a GPU here"
    assert found.failures() == []
    assert len(told) == 2


@pytest.mark.triton
def test_a_small_pool_is_judged_by_the_answers_of_another_server(triton: EmbeddedServer) -> None:
    found, server = Findings("a machine"), Server(triton.address, triton.metrics_url)
    alone = answers_alone(server, MODEL, (2, 64))
    assert len(alone) == FILMS
    check.under_load(found, server, MODEL, (2, 64), alone=alone, pool="64 MiB", under_way=2)
    others = [2 * each for each in alone]
    check.under_load(found, server, MODEL, (2, 64), alone=others, pool="64 MiB", under_way=2)
    assert [each.wrong for each in found.loads] == [0, 6]


@pytest.mark.triton
def test_shapes_that_wrap_are_survived_or_end_a_process(mortal: EmbeddedServer) -> None:
    """Triton 2.51 dies of them; whichever it is, the check's word is the canary's."""
    server = Server(mortal.address, mortal.metrics_url)
    results = wrapping.answers_to_wrapping_shapes(server, MODEL)
    assert results[0].tensor == f"FRAMES {(2**62, 0, 64, 2)}"
    assert all(each.said.startswith("StatusCode.") for each in results)
    assert [each.outcome for each in results[:-1]] == [wrapping.SURVIVED] * (len(results) - 1)
    if results[-1].outcome == wrapping.STUB_DEAD:
        with pytest.raises(ReconError):
            opening.server_canary(mortal.servers, MODEL)
    else:
        assert opening.server_canary(mortal.servers, MODEL).emitters > 0


def test_requests_are_measured_up_to_the_largest(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[tuple[int, int, int]]()

    def measure(*_: object, size_px: int, batch: int, frames: int, **__: object) -> ServerSpeed:
        asked.append((size_px, batch, frames))
        return SPEED

    monkeypatch.setattr(check, "measure", measure)
    found, model = Findings("a machine"), contract.RECONSTRUCTION_MAP.name
    server = Server("127.0.0.1:1", "http://127.0.0.1:1/metrics")
    check.measure_all(found, server, model, "FP16", lambda _: None, sizes_px=(64, 512))
    assert asked == [
        *((64, 1, 256), (64, 16, 16 * 256), (64, 128, 128 * 256)),
        *((512, 1, 256), (512, 2, 2 * 256)),
    ]
    assert len(found.speeds) == 5


def test_images_are_compared_by_error_and_sum() -> None:
    expected = np.ones((8, 8), np.float32)
    assert check.compare(expected, expected) == (0, 1)
    error, ratio = check.compare(1.1 * expected, expected)
    assert error == pytest.approx(1, rel=1e-3)
    assert ratio == pytest.approx(1.1)


# --- Docker ---------------------------------------------------------------------------------

PLAN = {
    "model": "unet",
    "key": {"precision": "fp16"},
    "build_s": 35.2,
    "largest_difference": 2.1e-5,
    "tolerance": 1e-3,
    "plan_bytes": 2_000_000,
    "activation_bytes": [200_000_000, 760_000_000],
}

ENGINE = """#!{python}
import json, os, sys
with open({asked!r}, "a") as stream:
    stream.write(json.dumps(sys.argv[1:]) + chr(10))
if sys.argv[1] == os.environ.get("DOCKER_FAILS"):
    sys.exit("could not select device driver with capabilities: gpu")
answers = {{"run": "c0ffee", "port": "127.0.0.1:49153", "exec": {plan!r}}}
answers |= {{"inspect": os.environ.get("DOCKER_RUNS", "true"), "logs": "E1 out of memory"}}
if sys.argv[1] == "exec":
    with open({asked!r}) as stream:
        runs = [each for each in map(json.loads, stream) if each[0] == "run"]
    if "RECON_PRECISION=f32" in runs[-1] or os.environ.get("DOCKER_HALVES") == "0":
        answers["exec"] = answers["exec"].replace("fp16", "fp32")
if "gpu-kernels" in sys.argv:
    answers["run"] = json.dumps({{"cupy": "14", "kernels": []}})
print(answers.get(sys.argv[1], ""))
"""

Asked = Callable[[], list[list[str]]]


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Asked:
    """A ``docker`` that answers as the engine would; gives what it was asked."""
    asked, program = tmp_path / "asked", tmp_path / "docker"
    plan = json.dumps(PLAN)
    program.write_text(ENGINE.format(python=sys.executable, asked=str(asked), plan=plan))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(opening, "server_canary", lambda *_: Canary(1.0, 2.0))
    return lambda: [json.loads(line) for line in asked.read_text().splitlines()]


@pytest.mark.parametrize("device", ["gpu", "cpu"])
def test_a_container_has_its_gpu_and_is_removed(docker: Asked, device: str) -> None:
    kept = list[str]()
    with containers.running(
        check.ENSEMBLES,
        device=device,
        precision="f32",
        keep_log=kept.append,
        largest_tile_px=256,
        flags=["--log-verbose=1"],
    ) as container:
        assert container.server == Server("127.0.0.1:49153", "http://127.0.0.1:49153/metrics")
        assert kept == []
    run, *_, logged, removed = docker()
    assert ("--gpus" in run) is (device == "gpu")
    assert {"--read-only", f"RECON_DEVICE={device}", "RECON_LARGEST_TILE_PX=256"} <= set(run)
    assert "RECON_PRECISION=f32" in run
    assert run[-3:] == [containers.IMAGE, "recon-server", "--log-verbose=1"]
    assert f"RECON_ENSEMBLES={' '.join(check.ENSEMBLES)}" in run
    assert logged[0] == "logs"
    assert kept == ["E1 out of memory"]
    assert removed == ["rm", "--force", "c0ffee"]


def test_a_container_that_is_never_ready_is_removed_and_its_log_kept(
    docker: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(*_: object) -> Canary:
        raise ServerError("no Triton server answers")

    kept = list[str]()
    monkeypatch.setattr(opening, "server_canary", silent)
    monkeypatch.setattr(containers, "START_TIMEOUT_S", 0.5)
    monkeypatch.setattr(containers, "POLL_S", 0.1)
    with (
        pytest.raises(ServerError, match="not ready after 0 s: no Triton server answers"),
        containers.running([MODEL], device="gpu", precision="", keep_log=kept.append),
    ):
        pytest.fail("it is not ready")
    assert docker()[-1] == ["rm", "--force", "c0ffee"]
    assert kept == ["E1 out of memory"]


def test_an_engine_that_hangs_is_told(docker: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers, "DOCKER_TIMEOUT_S", 0.0)
    with pytest.raises(ServerError, match=r"docker run did not end within 0 s; .*docker info"):
        containers.kernel_speed()


def test_kernels_are_measured_in_the_image(docker: Asked) -> None:
    assert containers.kernel_speed() == {"cupy": "14", "kernels": []}
    (asked,) = docker()
    assert asked[-4:] == ["--entrypoint", "recon-bench", "smlm-recon-server", "gpu-kernels"]


@pytest.fixture
def measured(docker: Asked, monkeypatch: pytest.MonkeyPatch) -> Asked:
    """All of a server's answers beside Docker's; gives what Docker was asked."""
    image = np.ones((8, 8), np.float32)
    monkeypatch.setattr(check, "_gpus", lambda: "NVIDIA X")
    monkeypatch.setattr(check, "image_of", lambda *_: image)
    monkeypatch.setattr(check, "answers_alone", lambda *_: [])
    monkeypatch.setattr(
        check,
        "answers_under_load",
        lambda _, model, *, pool, **__: LoadResult(model, pool, 384, 0, 7 * (pool != "as sized")),
    )
    monkeypatch.setattr(
        check,
        "answers_to_wrapping_shapes",
        lambda _, model: [
            wrapping.WrappingShape(model, "FRAMES (4, 0)", wrapping.STUB_DEAD, "INTERNAL: no stub")
        ],
    )
    monkeypatch.setattr(check, "measure", lambda *_, **__: SPEED)
    monkeypatch.setattr(Server, "counted", lambda *_: 12.5e9)
    return docker


def test_the_whole_check_builds_compares_and_measures(measured: Asked, tmp_path: Path) -> None:
    code, _ = _check("-o", str(tmp_path / "report.md"), "--largest-tile-px", "256")
    report = (tmp_path / "report.md").read_text()
    assert code == 0
    assert "GPU: NVIDIA X; CuPy 14" in report
    assert "Nothing that was checked failed." in report
    for precision in ("fp16", "fp32"):
        assert f"| unet | {precision} | 35 | 2.1e-05 | 1e-03 | 2.0 | 0.20 / 0.76 |" in report
    for model in check.ENSEMBLES:
        for precision in ("FP16", "FP32"):
            assert f"| {model}, {precision} | 0.0000 | 1.0000 |" in report
            assert f"| {model}, {precision} | 12.50 |" in report
        assert f"| {model} | as sized | 384 | 0 | 0 |" in report
        assert f"| {model} | 64 MiB | 384 | 0 | 7 |" in report
        assert f"| {model} | FRAMES (4, 0) | stub dead | INTERNAL: no stub |" in report
        assert f"## End of the log of {model} on gpu\n\n```\nE1 out of memory\n```" in report
    verbs = [asked[0] for asked in measured()]
    assert verbs[:2] == ["info", "build"]
    assert verbs.count("rm") == 4 * len(check.ENSEMBLES)
    small_pool = "--cuda-memory-pool-byte-size=0:67108864"
    assert sum(small_pool in asked for asked in measured()) == len(check.ENSEMBLES)
    assert any(
        "RECON_LARGEST_TILE_PX=256" in asked and "RECON_DEVICE=gpu" in asked for asked in measured()
    )


def test_a_server_that_does_not_compute_in_fp16_is_measured_once(
    measured: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HALVES", "0")
    code, _ = _check("-o", str(tmp_path / "report.md"))
    report = (tmp_path / "report.md").read_text()
    assert code == 0
    assert f"- left out: {MODEL} in FP16: the server chose FP32, see its log" in report
    assert report.count(f"| {MODEL}, FP32 | 0.0000 |") == 1
    assert [asked[0] for asked in measured()].count("rm") == 3 * len(check.ENSEMBLES)


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"DOCKER_FAILS": "build"}, "docker build ended with 1; see what it wrote above"),
        ({"DOCKER_FAILS": "run"}, "docker run failed: could not select device driver"),
        ({"DOCKER_FAILS": "exec"}, "docker exec failed: could not select device driver"),
        ({"DOCKER_RUNS": "false"}, "the server ended while it started: E1 out of memory"),
    ],
)
def test_what_docker_cannot_do_is_in_the_report(
    measured: Asked,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    told: dict[str, str],
    words: str,
) -> None:
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    report = tmp_path / "report.md"
    code, said = _check("-o", str(report))
    assert code == ServerError.exit_code
    assert words in said
    assert words in report.read_text()
    started = sum("--detach" in asked for asked in measured())
    removed = sum(asked[0] == "rm" for asked in measured())
    assert removed == (0 if told.get("DOCKER_FAILS") in {"build", "run"} else started)
