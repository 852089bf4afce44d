"""The models ``summation`` and ``summation_map``: a network's answers to N frames to one image."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from smlm_pipeline import contract
from smlm_pipeline.compute import draw
from smlm_pipeline.errors import DeviceError
from smlm_pipeline.serving.device import VARIABLE, Device, gpu_kernels
from smlm_pipeline.serving.metrics import DeviceMetrics
from smlm_pipeline.serving.respond import check_configuration, respond, triton_backend


class TritonPythonModel:
    """The last step, which sums the answers where they are; the image is in host memory."""

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
        self._device = Device(self._backend, args)
        self._metrics = DeviceMetrics(self._backend, self._spec.name)

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Sum the answers of each request."""
        return respond(self._backend, self._spec, requests, self._sum, write=self._device.write)

    def _sum(self, tensor: Any, window: Any) -> list[Any]:
        answers = self._device.read(tensor)
        window = self._device.read_on_host(window)
        on_host = isinstance(answers, np.ndarray)
        if on_host and self._device.requires_gpu:
            self._metrics.host_inputs.increment(1)
            raise DeviceError(
                f"{tensor.name()} reached {self._spec.name!r} in host memory, but {VARIABLE} is "
                "'gpu': the server's CUDA pool was full, or the network ran on a CPU; start it "
                "with a larger --cuda-memory-pool-byte-size, or send fewer requests at once"
            )
        kernels = draw if on_host else gpu_kernels()
        image = kernels.sum_answers(answers, window, self._answer)
        if not on_host:
            self._metrics.bytes_to_host.increment(image.nbytes + kernels.FLAG_BYTES)
        return [image, np.array([len(answers)], np.int32)]
