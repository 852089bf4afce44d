"""The summations on a server with a GPU: what reaches the host, and what is refused.

The fakes of Triton's module and of CuPy show no value of a GPU's memory to NumPy, so a copy
that nobody asked for raises. The network before the summation runs on the CPU here.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fakes import cupy_on_host
from fakes import triton_python_backend as backend
from fakes.films import spots_adu
from fakes.network_inputs import REQUEST
from fakes.places import MODEL_REPOSITORY
from fakes.served_model import ServedModel, Tensors, read_configuration
from smlm_pipeline import contract
from smlm_pipeline.compute.network import Network
from smlm_pipeline.compute.network_choice import open_network
from smlm_pipeline.compute.sparse import decode
from smlm_pipeline.compute.window import Window
from smlm_pipeline.engines.local import LocalTransport
from smlm_pipeline.engines.transport import ChunkAnswer, Request
from smlm_pipeline.errors import DeviceError, SettingError
from smlm_pipeline.film.survey import prepared
from smlm_pipeline.model_repository import network_file
from smlm_pipeline.serving.device import VARIABLE
from smlm_pipeline.serving.metrics import BYTES_TO_HOST, FRAMES, HOST_INPUTS

SUMMATIONS = [answer.summation.name for answer in contract.ANSWERS]

_BORDERS_PX = np.array([0.15, 0.3, 0], np.float32)


@pytest.fixture(autouse=True)
def cupy() -> Iterator[ModuleType]:
    with cupy_on_host.installed() as gpu:
        yield gpu.cupy


@pytest.fixture
def on_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "gpu")


def _served(name: str, *, device: int = 0) -> ServedModel:
    configuration = read_configuration(MODEL_REPOSITORY / name / "config.pbtxt")
    return ServedModel(MODEL_REPOSITORY / name, configuration, device=device)


@functools.cache
def _network(name: str) -> Network:
    return open_network(network_file(MODEL_REPOSITORY, name))


def _request(ensemble: contract.Ensemble) -> Request:
    """A chunk with several classes and molecules, where the ensemble has them."""
    frames_adu = spots_adu(3, 20, 24, seed=1)
    levels_adu = prepared(frames_adu)[1]
    drawn = not ensemble.answer.makes_maps
    window = Window(8, 0, 4, 20, 18, classes=3 if drawn else 1, molecules=drawn)
    return Request("chunk", frames_adu, levels_adu, window, _BORDERS_PX)


def _answers(ensemble: contract.Ensemble) -> NDArray[np.float32]:
    """What the network of an ensemble answers to the request."""
    request = _request(ensemble)
    return _network(ensemble.network.name).detect(request.frames_adu, request.levels_adu)


def _inputs(ensemble: contract.Ensemble, answers: Any) -> dict[str, Any]:
    """Those of its summation."""
    tensors = {
        ensemble.answer.name: answers,
        contract.COMPUTED_REQUEST.name: REQUEST,
        contract.LEVELS.name: _request(ensemble).levels_adu,
        contract.REQUEST.name: REQUEST,
        contract.WINDOW.name: _request(ensemble).window.as_tensor(),
        contract.CLASS_BORDERS.name: _BORDERS_PX,
    }
    return {spec.name: tensors[spec.name] for spec in ensemble.answer.summation.inputs}


def _expected(ensemble: contract.Ensemble) -> ChunkAnswer:
    return LocalTransport(_network(ensemble.network.name)).sum_chunk(_request(ensemble))


def _same(response: Tensors | str, expected: ChunkAnswer) -> None:
    """The answer of the engine without a server, to the bit."""
    assert not isinstance(response, str), response
    sums = decode(response["STEP"], response["WEIGHT"])
    shape = (expected.sums.end,)
    assert expected.sums.weight.any()
    np.testing.assert_array_equal(sums.dense(shape), expected.sums.dense(shape))
    assert response["FRAME_COUNT"].tolist() == [expected.frame_count]
    assert response["SUMMED_REQUEST"].tolist() == REQUEST.tolist()
    if expected.molecules is not None:
        assert len(expected.molecules)
        np.testing.assert_array_equal(response["MOLECULES"], expected.molecules)


def _counted(name: str, model: str) -> float:
    """The value of a counter of the newest instance of a model."""
    metrics = backend.MetricFamily.families[name].metrics
    return next(each.value() for each in metrics if each.labels == {"model": model})


each_ensemble = pytest.mark.parametrize("ensemble", contract.ENSEMBLES.values())


@each_ensemble
def test_a_gpu_gives_the_answer_of_the_host_and_counts_its_copies(
    on_gpu: None, ensemble: contract.Ensemble
) -> None:
    summation, name = _served(ensemble.answer.summation.name), ensemble.answer.summation.name
    on_device = cupy_on_host.asarray(_answers(ensemble))
    first, second = summation.execute(*[_inputs(ensemble, on_device)] * 2)
    _same(first, _expected(ensemble))
    _same(second, _expected(ensemble))
    copied = sum(cupy_on_host.copies)
    assert 0 < copied < 2 * on_device.nbytes
    assert _counted(BYTES_TO_HOST, name) == copied
    assert _counted(HOST_INPUTS, name) == 0
    assert _counted(FRAMES, name) == 2 * len(_answers(ensemble))


@each_ensemble
def test_answers_in_host_memory_are_an_error_and_a_metric(
    on_gpu: None, ensemble: contract.Ensemble
) -> None:
    answer, found = ensemble.answer, _answers(ensemble)
    on_device = _inputs(ensemble, cupy_on_host.asarray(found))
    first, second, third = _served(answer.summation.name).execute(
        on_device, _inputs(ensemble, found), on_device
    )
    assert isinstance(second, str)
    refused = f"{answer.name} reached '{answer.summation.name}' in host memory"
    assert f"{refused}, but RECON_DEVICE is 'gpu'" in second
    assert "larger --cuda-memory-pool-byte-size" in second
    _same(first, _expected(ensemble))
    _same(third, _expected(ensemble))
    assert _counted(HOST_INPUTS, answer.summation.name) == 1


@pytest.mark.parametrize("kind", ["auto", "cpu", None])
def test_without_a_word_about_a_gpu_host_memory_is_as_good(
    monkeypatch: pytest.MonkeyPatch, kind: str | None
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    if kind is not None:
        monkeypatch.setenv(VARIABLE, kind)
    monkeypatch.setitem(sys.modules, "cupy", None)
    ensemble = contract.RECONSTRUCTION
    (summed,) = _served("summation").execute(_inputs(ensemble, _answers(ensemble)))
    _same(summed, _expected(ensemble))
    assert _counted(BYTES_TO_HOST, "summation") == 0


def test_by_default_a_summation_computes_where_the_answers_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    ensemble = contract.RECONSTRUCTION
    host = _inputs(ensemble, _answers(ensemble))
    on_device = {name: cupy_on_host.asarray(array) for name, array in host.items()}
    for response in _served("summation").execute(on_device, host):
        _same(response, _expected(ensemble))
    assert _counted(BYTES_TO_HOST, "summation") > 0


def test_a_gpu_other_than_the_instances_own_sums_what_is_there(on_gpu: None) -> None:
    ensemble = contract.RECONSTRUCTION
    with cupy_on_host.Device(1):  # the network ran there
        on_device = cupy_on_host.asarray(_answers(ensemble))
    (summed,) = _served("summation", device=0).execute(_inputs(ensemble, on_device))
    _same(summed, _expected(ensemble))


def test_a_bad_chunk_gets_its_own_error_on_a_gpu(on_gpu: None) -> None:
    ensemble = contract.RECONSTRUCTION
    found = _answers(ensemble)
    good = _inputs(ensemble, cupy_on_host.asarray(found))
    bad = _inputs(ensemble, cupy_on_host.asarray(np.full_like(found, np.nan)))
    first, second, third = _served("summation").execute(good, bad, good)
    _same(first, _expected(ensemble))
    assert isinstance(second, str)
    assert "a probability that is not within 0 and 1" in second
    _same(third, _expected(ensemble))


def test_a_full_gpu_refuses_one_chunk_and_says_what_to_do(
    on_gpu: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensemble = contract.RECONSTRUCTION
    inputs = _inputs(ensemble, cupy_on_host.asarray(_answers(ensemble)))
    summation = _served("summation")
    with monkeypatch.context() as full:
        full.setattr(cupy_on_host, "MEMORY_BYTES", 1 << 16)
        (refused,) = summation.execute(inputs)
    assert isinstance(refused, str)
    assert "the GPU has no 1 MiB left for the sums of this request; ask for a smaller" in refused
    (summed,) = summation.execute(inputs)
    _same(summed, _expected(ensemble))


# --- starting -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SUMMATIONS)
def test_a_gpu_that_is_not_there_is_an_error_at_the_start(on_gpu: None, name: str) -> None:
    words = "RECON_DEVICE is 'gpu', but GPU 7 cannot be used .*RECON_DEVICE=cpu"
    with pytest.raises(DeviceError, match=words):
        _served(name, device=7)


@pytest.mark.parametrize("name", SUMMATIONS)
def test_a_missing_cupy_is_an_error_at_the_start(
    on_gpu: None, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(DeviceError, match="CuPy cannot be imported; install 'smlm-recon"):
        _served(name)


def test_an_unknown_device_is_an_error_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "cuda")
    with pytest.raises(SettingError, match="RECON_DEVICE is 'cuda'; expected one of auto"):
        _served("summation")


@pytest.mark.parametrize(
    ("kind", "words"),
    [("cpu", "DETECTIONS lies on a GPU, but RECON_DEVICE is 'cpu'"), ("auto", "CuPy cannot be")],
)
def test_memory_of_a_gpu_where_none_is_expected(
    monkeypatch: pytest.MonkeyPatch, kind: str, words: str
) -> None:
    ensemble = contract.RECONSTRUCTION
    on_device = _inputs(ensemble, cupy_on_host.asarray(_answers(ensemble)))
    monkeypatch.setenv(VARIABLE, kind)
    monkeypatch.setitem(sys.modules, "cupy", None)
    (refused,) = _served("summation").execute(on_device)
    assert isinstance(refused, str)
    assert words in refused


# --- the fakes themselves -------------------------------------------------------------------


def test_the_fakes_refuse_misuse(cupy: ModuleType) -> None:
    array = cupy.asarray(np.zeros(2, np.float32))
    with pytest.raises(TypeError, match="implicit conversion to a NumPy array is not allowed"):
        np.asarray(array)
    with pytest.raises(TypeError, match="takes an array with __dlpack__"):
        backend.Tensor.from_dlpack("A", array.__dlpack__())
    tensor = backend.Tensor.from_dlpack("A", array)
    with pytest.raises(ValueError, match="'A' is stored in GPU memory"):
        tensor.as_numpy()
    with pytest.raises(BufferError, match="memory of the host"):
        cupy.from_dlpack(backend.Tensor("A", np.zeros(2, np.float32)))
    with pytest.raises(ValueError, match="a counter does not go down"):
        backend.Metric({}).increment(-1)


def test_the_fake_gpu_refuses_a_race(cupy: ModuleType) -> None:
    array = cupy.asarray(np.zeros(2, np.float32))
    with (
        cupy.cuda.Stream(non_blocking=True),
        pytest.raises(cupy.cuda.runtime.CUDARuntimeError, match="another stream may still be"),
    ):
        array.get()
    cupy.cuda.get_current_stream().synchronize()
    with cupy.cuda.Stream(non_blocking=True):
        assert array.get().tolist() == [0, 0]
    with pytest.raises(ValueError, match="memory that is not pinned"):
        array.get(out=np.zeros(2, np.float32))
