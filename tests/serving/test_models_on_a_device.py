"""The ``model.py`` files on a deployment with a GPU: what stays there, and what is refused.

The fakes of Triton's module and of CuPy show no value of a GPU's memory to NumPy, so a copy
that nobody asked for raises. The network between the steps runs on the CPU here.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fakes import cupy_on_host
from fakes import triton_python_backend as backend
from fakes.cupy_on_host import DeviceArray
from fakes.films import spots_adu
from fakes.places import MODEL_REPOSITORY
from fakes.served_model import ServedModel, Tensors, read_configuration
from smlm_pipeline import contract
from smlm_pipeline.compute.draw import draw
from smlm_pipeline.compute.network_choice import open_network
from smlm_pipeline.compute.normalize import normalize
from smlm_pipeline.engines.local import LocalTransport
from smlm_pipeline.engines.transport import Request
from smlm_pipeline.errors import DeviceError, SettingError
from smlm_pipeline.film.survey import prepared
from smlm_pipeline.model_repository import network_file
from smlm_pipeline.serving.device import VARIABLE
from smlm_pipeline.serving.metrics import BYTES_TO_HOST, HOST_INPUTS

WINDOW = np.array([8, 0, 4, 20, 18], np.int32)


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


def _request() -> Request:
    frames_adu = spots_adu(3, 20, 24, seed=1)
    levels_adu = prepared(frames_adu)[1]
    return Request("chunk", frames_adu, levels_adu, WINDOW)


def _inputs(request: Request) -> Tensors:
    return {
        "FRAMES": request.frames_adu,
        "LEVELS": request.levels_adu,
    }


def _answer(response: Tensors | str) -> dict[str, Any]:
    assert not isinstance(response, str), response
    return response


def _counted(name: str, model: str) -> float:
    """What the newest instance of a model has told."""
    metrics = backend.MetricFamily.families[name].metrics
    return next(each.value() for each in metrics if each.labels == {"model": model})


def _found(ensemble: str) -> tuple[str, NDArray[np.float32]]:
    """What the network of an ensemble answers to the request, and how that is called."""
    network = contract.ENSEMBLES[ensemble].network
    request = _request()
    normalized = normalize(request.frames_adu, request.levels_adu)
    file = network_file(MODEL_REPOSITORY, network.name)
    return network.outputs[0].name, open_network(file).detect(normalized)


@pytest.mark.parametrize("ensemble", contract.ENSEMBLES)
def test_everything_stays_on_the_gpu_but_one_image(on_gpu: None, ensemble: str) -> None:
    first, network, last = contract.ENSEMBLES[ensemble].steps
    request, file = _request(), network_file(MODEL_REPOSITORY, network.name)
    (normalized,) = _served(first.name).execute(_inputs(request))
    read_by_network = _answer(normalized)[contract.NORMALIZED.name]
    assert isinstance(read_by_network, DeviceArray)
    found = open_network(file).detect(read_by_network.get())

    summation = _served(last.name)
    cupy_on_host.copies.clear()
    on_device = cupy_on_host.asarray(found)
    (summed,) = summation.execute({network.outputs[0].name: on_device, "WINDOW": WINDOW})
    expected = LocalTransport(file).sum_chunk(request)
    assert expected.image.any()
    np.testing.assert_array_equal(_answer(summed)["IMAGE"], expected.image)
    assert _answer(summed)["FRAME_COUNT"].tolist() == [expected.frame_count]
    assert cupy_on_host.copies == [expected.image.nbytes + 4]
    assert _counted(BYTES_TO_HOST, last.name) == expected.image.nbytes + 4
    assert _counted(HOST_INPUTS, last.name) == 0


@pytest.mark.parametrize("ensemble", contract.ENSEMBLES)
def test_detections_in_host_memory_are_an_error_and_a_metric(on_gpu: None, ensemble: str) -> None:
    last = contract.ENSEMBLES[ensemble].steps[-1]
    name, found = _found(ensemble)
    summation = _served(last.name)
    on_device = {name: cupy_on_host.asarray(found), "WINDOW": WINDOW}
    first, second, third = summation.execute(on_device, {name: found, "WINDOW": WINDOW}, on_device)
    assert isinstance(second, str)
    assert f"{name} reached '{last.name}' in host memory, but RECON_DEVICE is 'gpu'" in second
    assert "larger --cuda-memory-pool-byte-size" in second
    assert _answer(first)["IMAGE"].any()
    np.testing.assert_array_equal(_answer(first)["IMAGE"], _answer(third)["IMAGE"])
    assert _counted(HOST_INPUTS, last.name) == 1


@pytest.mark.parametrize("kind", ["auto", "cpu", None])
def test_without_a_word_about_a_gpu_host_memory_is_as_good(
    monkeypatch: pytest.MonkeyPatch, kind: str | None
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    if kind is not None:
        monkeypatch.setenv(VARIABLE, kind)
    monkeypatch.setitem(sys.modules, "cupy", None)
    request, (name, found) = _request(), _found(contract.RECONSTRUCTION.name)
    (normalized,) = _served("normalize").execute(_inputs(request))
    assert isinstance(_answer(normalized)["NORMALIZED"], np.ndarray)
    (summed,) = _served("summation").execute({name: found, "WINDOW": WINDOW})
    np.testing.assert_array_equal(_answer(summed)["IMAGE"], draw(found, WINDOW))
    assert _counted(BYTES_TO_HOST, "summation") == 0


def test_by_itself_each_step_computes_where_its_input_lies(cupy: ModuleType) -> None:
    request, (name, found) = _request(), _found(contract.RECONSTRUCTION.name)
    frames = {**_inputs(request), "FRAMES": cupy.asarray(request.frames_adu)}
    (normalized,) = _served("normalize").execute(frames)
    assert isinstance(_answer(normalized)["NORMALIZED"], DeviceArray)
    on_device = {name: cupy.asarray(found), "WINDOW": cupy.asarray(WINDOW)}
    (summed,) = _served("summation").execute(on_device)
    np.testing.assert_array_equal(_answer(summed)["IMAGE"], draw(found, WINDOW))


def test_every_instance_takes_its_own_gpu(on_gpu: None) -> None:
    (normalized,) = _served("normalize", device=1).execute(_inputs(_request()))
    made = _answer(normalized)["NORMALIZED"]
    assert made.device.id == 1
    name, found = _found(contract.RECONSTRUCTION.name)
    with cupy_on_host.Device(1):  # the network ran there; the summation is an instance of GPU 0
        on_device = cupy_on_host.asarray(found)
    (summed,) = _served("summation", device=0).execute({name: on_device, "WINDOW": WINDOW})
    np.testing.assert_array_equal(_answer(summed)["IMAGE"], draw(found, WINDOW))


def test_a_bad_chunk_gets_its_own_error_on_a_gpu(on_gpu: None) -> None:
    good = _inputs(_request())
    bad = {**good, "LEVELS": np.zeros_like(good["LEVELS"])}
    first, second = _served("normalize").execute(good, bad)
    assert isinstance(_answer(first)["NORMALIZED"], DeviceArray)
    assert second == "LEVELS must be finite with a positive scale; compute them from the film"


# --- starting -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["normalize", "summation", "summation_map"])
def test_a_gpu_that_is_not_there_is_told_at_the_start(on_gpu: None, name: str) -> None:
    words = "RECON_DEVICE is 'gpu', but GPU 7 cannot be used .*RECON_DEVICE=cpu"
    with pytest.raises(DeviceError, match=words):
        _served(name, device=7)


@pytest.mark.parametrize("name", ["normalize", "summation", "summation_map"])
def test_a_missing_cupy_is_told_at_the_start(
    on_gpu: None, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(DeviceError, match="CuPy cannot be imported; install 'smlm-recon"):
        _served(name)


def test_a_word_that_means_nothing_is_refused_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "cuda")
    with pytest.raises(SettingError, match="RECON_DEVICE is 'cuda'; expected one of auto"):
        _served("normalize")


@pytest.mark.parametrize(
    ("kind", "words"),
    [("cpu", "DETECTIONS lies on a GPU, but RECON_DEVICE is 'cpu'"), ("auto", "CuPy cannot be")],
)
def test_memory_of_a_gpu_where_none_is_expected(
    monkeypatch: pytest.MonkeyPatch, kind: str, words: str
) -> None:
    name, found = _found(contract.RECONSTRUCTION.name)
    on_device = {name: cupy_on_host.asarray(found), "WINDOW": WINDOW}
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
