"""What is measured of a server: its metrics as a GPU writes them, and images under load."""

from __future__ import annotations

from collections import defaultdict
from contextlib import nullcontext
from pathlib import Path

import pytest

from fakes.transports import ComputingTransport
from smlm_bench.gpu import load, server
from smlm_bench.gpu.films import FILMS
from smlm_bench.gpu.load import ROUNDS, answers_under_load
from smlm_bench.gpu.server import Server, measure
from smlm_pipeline import contract
from smlm_pipeline.engines.transport import ChunkAnswer, Request, Transport
from smlm_pipeline.errors import ServerError, TransientServerError

MODEL = contract.RECONSTRUCTION.name

METRICS = """\
# HELP nv_inference_count Number of inferences performed (does not include cached requests)
nv_inference_count{gpu_uuid="GPU-1d2c",model="unet",version="1"} 96
nv_inference_count{gpu_uuid="GPU-1d2c",model="summation",version="1"} 7
nv_inference_count{gpu_uuid="GPU-9f00",model="unet",version="1"} 4
recon_device_to_host_bytes_total{model="summation"} 1.5e+06
nv_gpu_memory_used_bytes{gpu_uuid="GPU-1d2c"} 2147483648
nv_cpu_memory_used_bytes 5
"""


def _telling(tmp_path: Path, text: str) -> Server:
    """A server whose metrics lie in a file."""
    (tmp_path / "metrics").write_text(text)
    return Server("127.0.0.1:1", (tmp_path / "metrics").as_uri())


@pytest.mark.parametrize(
    ("metric", "models", "value"),
    [
        ("nv_inference_count", ["unet"], 100),
        ("nv_inference_count", ["unet", "summation"], 107),
        ("nv_inference_count", ["un"], 0),
        ("recon_device_to_host_bytes_total", ["summation"], 1.5e6),
        ("nv_gpu_memory_used_bytes", [], 1 << 31),
        ("nv_cpu_memory_used_bytes", [], 5),
    ],
)
def test_metrics_are_read_whatever_labels_a_gpu_adds(
    tmp_path: Path, metric: str, models: list[str], value: float
) -> None:
    assert _telling(tmp_path, METRICS).counted(metric, models) == value


def _answering(monkeypatch: pytest.MonkeyPatch, transport: Transport) -> None:
    """Have a transport answer in the server's place."""
    for module in (server, load):
        monkeypatch.setattr(module, "TritonTransport", lambda *_, **__: nullcontext(transport))


def test_a_server_that_tells_no_time_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _answering(monkeypatch, ComputingTransport())
    server = _telling(tmp_path, METRICS)
    with pytest.raises(ServerError, match="states no time of 'unet' for 4 frames"):
        measure(server, MODEL, precision="f32", size_px=64, batch=2, frames=4, in_flight=2)


class _MixesUp(ComputingTransport):
    """From the first answer that is not alone it gives everybody the same image."""

    def __init__(self) -> None:
        super().__init__()
        self._answers: list[ChunkAnswer] = []

    def sum_chunk(self, request: Request) -> ChunkAnswer:
        self._answers.append(super().sum_chunk(request))
        return self._answers[0 if len(self._answers) > FILMS else -1]


class _RefusesFirst(ComputingTransport):
    """Each film's first request under load is one too many."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: defaultdict[bytes, int] = defaultdict(int)

    def sum_chunk(self, request: Request) -> ChunkAnswer:
        film = request.frames_adu.tobytes()
        self.asked[film] += 1
        if self.asked[film] == 2:
            raise TransientServerError("Exceeds maximum queue size")
        return super().sum_chunk(request)


def test_a_full_queue_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    server, transport = Server("127.0.0.1:1", "http://127.0.0.1:1/metrics"), _RefusesFirst()
    _answering(monkeypatch, transport)
    found = answers_under_load(server, MODEL, request=(4, 64), under_way=FILMS)
    assert (found.requests, found.wrong, found.refused) == (ROUNDS * FILMS, 0, 0)
    assert len(transport.asked) == FILMS
    assert set(transport.asked.values()) == {1 + ROUNDS + 1}


def test_answers_to_other_requests_show_under_load(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server("127.0.0.1:1", "http://127.0.0.1:1/metrics")
    _answering(monkeypatch, ComputingTransport())
    right = answers_under_load(server, MODEL, request=(4, 64), under_way=FILMS)
    _answering(monkeypatch, _MixesUp())
    mixed = answers_under_load(server, MODEL, request=(4, 64), under_way=FILMS)
    assert right.wrong == 0
    assert mixed.wrong == ROUNDS * (FILMS - 1)


def test_metrics_that_do_not_answer_are_told() -> None:
    server = Server("127.0.0.1:1", "http://127.0.0.1:1/metrics")
    with pytest.raises(ServerError, match=r"127\.0\.0\.1:1/metrics does not answer .*look whether"):
        server.counted("nv_inference_count")
