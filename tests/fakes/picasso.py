"""A small stand-in for the package picassosr: the brightest pixel of each frame is a molecule."""

from __future__ import annotations

from pathlib import Path

_LOCALIZE = '''
import json
import numpy as np

print("Picasso prints to standard output")


def localize_frames(
    frames, info, params, *, camera_info, fitting_method, threaded
):
    """The brightest pixel of each frame, if it exceeds a tenth of the threshold."""
    {failure}
    photons = (frames - camera_info["Baseline"]) * camera_info["Sensitivity"]
    print(json.dumps([params, camera_info, fitting_method, bool(threaded)]))
    places = [np.unravel_index(frame.argmax(), frame.shape) for frame in photons]
    found = [
        (number, y, x)
        for number, (y, x) in enumerate(places)
        if frames[number, y, x] > 0.1 * params["Min. Net Gradient"] + camera_info["Baseline"]
    ]
    table = np.array(found, np.float32).reshape(-1, 3)
    return {{"frame": table[:, 0].astype(np.uint32), "y": table[:, 1], "x": table[:, 2]}}
'''


def write_stand_in(folder: Path, *, version: str = "0.11.3", failure: str = "pass") -> Path:
    """Write the package, with what Python reads its version from, for ``PYTHONPATH``."""
    package, facts = folder / "picasso", folder / f"picassosr-{version}.dist-info"
    package.mkdir(parents=True)
    facts.mkdir()
    (package / "__init__.py").touch()
    (package / "localize.py").write_text(_LOCALIZE.format(failure=failure))
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: picassosr\nVersion: {version}\n")
    return folder
