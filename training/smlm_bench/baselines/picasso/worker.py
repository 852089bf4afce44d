"""Run Picasso on frames of standard input, and write its localisations to standard output.

This file is a program for the Python that has Picasso, and imports nothing of this project. Its
argument is a JSON object: ``parameters``, ``camera_info`` and ``fitting_method`` as
``picasso.localize.localize_frames`` takes them, and ``shape_px`` of the frames. It answers with a
line of JSON once Picasso is compiled. Then each message is the length of an NPY file, 8 bytes, and
the file: frames (N, Y, X) uint16 come in, and frame, y and x (3, K) float64 in Picasso's pixels,
whose first one has its centre at 0, go out.
"""

from __future__ import annotations

import importlib
import io
import json
import os
import platform
import struct
import sys
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray

_LENGTH = struct.Struct("<Q")
_CPU_SHARE = 0.8
"""Share of the CPUs that Picasso takes by default; with one thread it is faster without any."""


def _spots(shape_px: list[int]) -> NDArray[np.uint16]:
    """Two frames (2, Y, X) with a spot each, for the compiler."""
    away_px = [np.arange(edge) - edge // 2 for edge in shape_px]
    spot = 1000 * np.exp(-0.5 * np.add.outer(away_px[0] ** 2, away_px[1] ** 2))
    frames_adu: NDArray[np.uint16] = np.rint(100 + np.stack([spot, spot])).astype(np.uint16)
    return frames_adu


def main() -> None:
    """Answer messages until standard input ends."""
    given = json.loads(sys.argv[1])
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what Picasso prints is no message
    localize_frames = importlib.import_module("picasso.localize").localize_frames
    threaded = _CPU_SHARE * (os.cpu_count() or 1) >= 2

    def localised(frames_adu: NDArray[np.uint16]) -> NDArray[np.float64]:
        found = localize_frames(
            frames_adu,
            None,
            given["parameters"],
            camera_info=given["camera_info"],
            fitting_method=given["fitting_method"],
            threaded=threaded,
        )
        return np.stack([np.asarray(found[name], np.float64) for name in ("frame", "y", "x")])

    localised(_spots(given["shape_px"]))
    stated = {
        "picassosr": version("picassosr"),
        "numpy": np.__version__,
        "python": platform.python_version(),
        "threaded": threaded,
    }
    answers.write(json.dumps(stated).encode() + b"\n")
    answers.flush()
    while len(length := requests.read(_LENGTH.size)) == _LENGTH.size:
        frames_adu = np.load(io.BytesIO(requests.read(_LENGTH.unpack(length)[0])))
        file = io.BytesIO()
        np.save(file, localised(frames_adu))
        answers.write(_LENGTH.pack(file.tell()) + file.getvalue())
        answers.flush()


if __name__ == "__main__":
    main()
