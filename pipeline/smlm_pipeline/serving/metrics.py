"""Counters of the summations in Triton's ``/metrics``; dashboards rely on their names."""

from __future__ import annotations

from typing import Any

BYTES_TO_HOST = "recon_device_to_host_bytes_total"
"""Bytes that a summation copied from the GPU to the host: what is not zero, place and value."""

HOST_INPUTS = "recon_host_inputs_total"
"""Requests refused because detections were in host memory where ``RECON_DEVICE`` is ``gpu``."""

FRAMES = "recon_frames_total"
"""Frames that a summation summed: Triton counts a request as one, however many it has."""

_MEANINGS = {
    BYTES_TO_HOST: "Bytes copied from the GPU to the host by the summation",
    HOST_INPUTS: "Requests whose detections lay in host memory on a GPU deployment",
    FRAMES: "Frames summed by the summation",
}


class DeviceMetrics:
    """The counters of one summation model, zero at its start.

    Parameters
    ----------
    backend : module
        Triton's ``triton_python_backend_utils``.
    model : str
        Label of the counters.
    """

    def __init__(self, backend: Any, model: str) -> None:
        # A counter lives as long as its family, which the server forgets with the last reference.
        self._families = {
            name: backend.MetricFamily(
                name=name, description=meaning, kind=backend.MetricFamily.COUNTER
            )
            for name, meaning in _MEANINGS.items()
        }
        counters = {
            name: family.Metric(labels={"model": model}) for name, family in self._families.items()
        }
        self.bytes_to_host = counters[BYTES_TO_HOST]
        self.host_inputs = counters[HOST_INPUTS]
        self.frames = counters[FRAMES]
