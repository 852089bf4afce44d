"""Super-resolution reconstruction of single-molecule films through NVIDIA Triton.

The names below are the public API; they are loaded when they are first used, so that importing
the package is quick. Nothing else of the package is promised to stay.

Examples
--------
>>> import smlm_pipeline as recon
>>> with recon.open_film("stack.tif") as film:  # doctest: +SKIP
...     result = recon.reconstruct(film, engine="local")
...     result.image.shape, result.image.dtype
((2048, 2048), dtype('float32'))
>>> report = recon.submit("stack.tif", engine="local")  # doctest: +SKIP
"""

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

# Nothing phones home: the engines' telemetry is off before any of them is imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

if TYPE_CHECKING:
    from smlm_pipeline.film.film import open_film
    from smlm_pipeline.film.selection import Selection
    from smlm_pipeline.reconstruction import reconstruct
    from smlm_pipeline.report import Report
    from smlm_pipeline.settings import Settings
    from smlm_pipeline.submission.submit import submit
    from smlm_pipeline.tables.camera_units import CameraUnits

__version__ = "0.1.0"

__all__ = [
    "CameraUnits",
    "Report",
    "Selection",
    "Settings",
    "open_film",
    "reconstruct",
    "submit",
]

_MODULES = {
    "CameraUnits": "tables.camera_units",
    "Report": "report",
    "Selection": "film.selection",
    "Settings": "settings",
    "open_film": "film.film",
    "reconstruct": "reconstruction",
    "submit": "submission.submit",
}

if not TYPE_CHECKING:  # or a misspelt name would pass for one of type Any

    def __getattr__(name: str) -> Any:
        """Load a public name from its module."""
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    """The public names, loaded or not."""
    return sorted({*globals(), *__all__})
