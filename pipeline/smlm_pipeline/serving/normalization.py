"""The model ``normalize``: frames and their levels to the input of networks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from smlm_pipeline import contract
from smlm_pipeline.compute.normalize import normalize
from smlm_pipeline.serving.device import Device, gpu_kernels
from smlm_pipeline.serving.respond import check_configuration, respond, triton_backend


class TritonPythonModel:
    """The first step, which refuses chunks that do not fit the contract.

    Where ``RECON_DEVICE`` is ``gpu``, frames are copied to the GPU as they are, 16 bits a pixel;
    the networks' input is computed there, and stays there.
    """

    def initialize(self, args: Mapping[str, str]) -> None:
        """Check the configuration and the device.

        Raises
        ------
        ContractError
            If the configuration was written for another contract.
        DeviceError
            If ``RECON_DEVICE`` is ``gpu`` and there is none.
        """
        check_configuration(json.loads(args["model_config"]), contract.NORMALIZE)
        self._backend = triton_backend()
        self._device = Device(self._backend, args)

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Normalise the frames of each request."""
        return respond(
            self._backend,
            contract.NORMALIZE,
            requests,
            self._normalize,
            write=self._device.write,
        )

    def _normalize(self, frames: Any, levels: Any) -> list[Any]:
        frames_adu = self._device.read(frames)
        levels_adu = self._device.read_on_host(levels)
        if isinstance(frames_adu, np.ndarray) and not self._device.requires_gpu:
            return [normalize(frames_adu, levels_adu)]
        with self._device.selected():
            return [gpu_kernels().normalize(frames_adu, levels_adu)]
