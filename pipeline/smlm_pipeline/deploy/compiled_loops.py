"""Compile the loops that merge molecules while an image is built.

A container that is read-only would compile them at the first film of each server, for seconds.
Numba keeps them in ``NUMBA_CACHE_DIR``, for the processor that ``NUMBA_CPU_NAME`` names: those for
a ``generic`` one compute the same bits in the same time on any.
"""

from __future__ import annotations

import numpy as np

from smlm_pipeline import contract
from smlm_pipeline.compute.candidates import candidates
from smlm_pipeline.compute.window import Window
from smlm_pipeline.localise.chunk import molecules

_SIZE_PX = 32


def compile_loops() -> int:
    """Use each loop on one molecule, in two pixels; return the number of molecules found."""
    detections = np.zeros((1, len(contract.DETECTION_CHANNELS), _SIZE_PX, _SIZE_PX), np.float32)
    detections[:, 3:] = 0.1
    detections[0, 0, 8, 8:10] = 0.4
    window = Window(8, 0, 0, _SIZE_PX, _SIZE_PX, molecules=True)
    return len(molecules(candidates(detections), window))


if __name__ == "__main__":
    compile_loops()
