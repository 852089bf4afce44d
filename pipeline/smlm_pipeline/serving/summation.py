"""The models ``summation`` and ``summation_map``: a network's answers to N frames to one sum."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smlm_pipeline import contract
from smlm_pipeline.compute.bounds import check_answers, check_number
from smlm_pipeline.compute.candidates import candidates
from smlm_pipeline.compute.draw import draw, sum_map
from smlm_pipeline.compute.encoding import encode
from smlm_pipeline.compute.normalize import check_levels
from smlm_pipeline.compute.sparse import SparseSums
from smlm_pipeline.compute.window import check_image_size, check_window
from smlm_pipeline.errors import DeviceError, SwappedAnswerError
from smlm_pipeline.localise.chunk import molecules
from smlm_pipeline.serving.device import VARIABLE, Device, gpu_of
from smlm_pipeline.serving.metrics import DeviceMetrics
from smlm_pipeline.serving.respond import check_configuration, respond, triton_backend

_HOST = SimpleNamespace(draw=draw, sum_map=sum_map, candidates=candidates)
"""What `smlm_pipeline.compute.gpu.Gpu` does, on the host."""

_NO_MOLECULES = np.zeros((0, len(contract.MOLECULE_COLUMNS)), np.float32)


class TritonPythonModel:
    """The last step, which sums the answers where they are; the sums are in host memory."""

    def initialize(self, args: Mapping[str, str]) -> None:
        """Check the configuration and the device, and register the metrics.

        Raises
        ------
        ContractError
            If the configuration was written for another contract.
        DeviceError
            If ``RECON_DEVICE`` is ``gpu`` and there is none.
        """
        configuration = json.loads(args["model_config"])
        self._answer = contract.answer_summed_by(configuration["name"])
        self._spec = self._answer.summation
        check_configuration(configuration, self._spec)
        self._backend = triton_backend()
        self._device = Device(args)
        self._metrics = DeviceMetrics(self._backend, self._spec.name)

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Sum the answers of each request."""
        summed = self._sum_map if self._answer.makes_maps else self._sum_detections
        return respond(self._backend, self._spec, requests, summed)

    def _sum_map(
        self, tensor: Any, computed: Any, levels: Any, request: Any, window: Any
    ) -> list[Any]:
        number = self._number(computed, request)
        maps = self._answers(tensor, levels)
        device = _device_of(maps)
        sums = device.sum_map(maps, self._device.read_on_host(window))
        self._count(device, len(maps))
        return _response(sums, len(maps), number)

    def _sum_detections(
        self,
        tensor: Any,
        computed: Any,
        levels: Any,
        request: Any,
        window: Any,
        class_borders: Any,
    ) -> list[Any]:
        number = self._number(computed, request)
        detections = self._answers(tensor, levels)
        window, borders_px = map(self._device.read_on_host, (window, class_borders))
        asked = check_window(window, *detections.shape[2:])
        check_image_size(asked)
        device = _device_of(detections)
        sums = device.draw(detections, window, borders_px)
        table = _NO_MOLECULES
        if asked.molecules:
            table = molecules(device.candidates(detections), asked)
        self._count(device, len(detections))
        return [*_response(sums, len(detections), number), table]

    def _number(self, computed: Any, request: Any) -> NDArray[np.int32]:
        """A copy of the request's number, before anything else of it is read.

        Raises
        ------
        ChunkError
            If it is no such number.
        SwappedAnswerError
            If the network's answers are to the request of another number.
        """
        of_answers, number = (
            self._device.read_on_host(each).copy() for each in (computed, request)
        )
        check_number(computed.name(), of_answers)
        check_number(request.name(), number)
        if not np.array_equal(of_answers, number):
            raise SwappedAnswerError(
                f"{self._spec.name!r} got the network's {contract.SWAPPED}, from a process that "
                "was stopped or died; send the request again, and restart this server if it "
                "does not stop by itself"
            )
        return number

    def _answers(self, tensor: Any, levels: Any) -> Any:
        """The network's answers, in the memory that they are in.

        Raises
        ------
        ChunkError
            If they are out of the contract's range, or their frames had no sound levels.
        DeviceError
            If they are in host memory where everything has to be on the GPU.
        """
        answers = self._device.read(tensor)
        check_answers(answers.shape, self._answer)
        check_levels(self._device.read_on_host(levels), len(answers))
        if isinstance(answers, np.ndarray) and self._device.requires_gpu:
            self._metrics.host_inputs.increment(1)
            raise DeviceError(
                f"{tensor.name()} reached {self._spec.name!r} in host memory, but {VARIABLE} is "
                "'gpu': the server's CUDA pool was full, or the network ran on a CPU; start it "
                "with a larger --cuda-memory-pool-byte-size, or send fewer requests at once"
            )
        return answers

    def _count(self, device: Any, frame_count: int) -> None:
        self._metrics.frames.increment(frame_count)
        if device is not _HOST:
            self._metrics.bytes_to_host.increment(device.take_bytes_to_host())


def _device_of(answers: Any) -> Any:
    """What sums the answers in the memory that they are in."""
    return _HOST if isinstance(answers, np.ndarray) else gpu_of(answers)


def _response(sums: SparseSums, frame_count: int, number: NDArray[np.int32]) -> list[Any]:
    """STEP, WEIGHT, FRAME_COUNT and SUMMED_REQUEST."""
    return [*encode(sums), np.array([frame_count], np.int32), number]
