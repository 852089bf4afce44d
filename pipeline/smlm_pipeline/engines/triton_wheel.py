"""The files of the ``tritonserver`` in the wheel ``nvidia-pytriton``, and its environment."""

from __future__ import annotations

import importlib.util
import os
import platform
import sys
import sysconfig
from pathlib import Path

from smlm_pipeline.errors import ServerError


def check_platform() -> None:
    """Check that the embedded server can run on this machine.

    Raises
    ------
    ServerError
        Of one sentence, if it cannot.
    """
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        raise ServerError(
            f"the embedded Triton server runs on Linux x86-64 only, this is {platform.system()} "
            f"{platform.machine()}; use --engine local, or --server with a server elsewhere"
        )
    if importlib.util.find_spec("pytriton") is None:
        raise ServerError(
            "the embedded Triton server is not installed; install 'smlm-recon[server]', or use "
            "--engine local, or --server with a server elsewhere"
        )
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    if not stub(wheel_folder()).exists():
        raise ServerError(
            f"the embedded Triton server has no Python {version}; use Python 3.10 to 3.12, "
            "or --engine local"
        )
    if _libpython_folder() is None:
        raise ServerError(
            f"the embedded Triton server needs libpython{version}.so, which this Python lacks; "
            f"install it (on Debian: apt-get install libpython{version}), or use --engine local"
        )


def wheel_folder() -> Path:
    """Find the server's folder in the wheel, without importing the package."""
    spec = importlib.util.find_spec("pytriton")
    if spec is None or not spec.submodule_search_locations:
        raise ServerError("nvidia-pytriton is not installed; install 'smlm-recon[server]'")
    return Path(spec.submodule_search_locations[0]) / "tritonserver"


def stub(wheel: Path) -> Path:
    """Return the file of the Python backend's stub for this Python, which may not exist."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return wheel / "python_backend_stubs" / version / "triton_python_backend_stub"


def _libpython_folder() -> Path | None:
    """Find the folder of the shared libpython of this Python's version."""
    name = f"libpython{sys.version_info.major}.{sys.version_info.minor}.so.1.0"
    places = [sysconfig.get_config_var("LIBDIR"), f"{sys.base_prefix}/lib"]
    places += ["/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/local/lib"]
    return next((Path(place) for place in places if place and (Path(place) / name).exists()), None)


def environment(wheel: Path) -> dict[str, str]:
    """Return the environment in which the server finds its libraries and this Python's packages."""
    libraries = [str(wheel.parent.parent / "nvidia_pytriton.libs"), str(_libpython_folder())]
    libraries += filter(None, [os.environ.get("LD_LIBRARY_PATH")])
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return {**os.environ, "LD_LIBRARY_PATH": os.pathsep.join(libraries), "PATH": path}
