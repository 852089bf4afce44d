"""The images of ``docker/``, built and run by Debian's buildah and podman, without a registry.

Nothing is pulled: stand-ins take the names of the bases in a storage of the test's own. That of
``python`` is Debian with a Python of this machine, that of ``tritonserver`` the server of the wheel
``nvidia-pytriton`` on the first. Its Python backend cannot read arrays of NumPy 2, so the server
gets the versions of ``requirements/dev.txt``, which has NumPy 1. All else is what a Dockerfile
says.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from fakes.places import ROOT
from fakes.processes import finished
from smlm_pipeline.engines import triton_wheel

PROGRAMS = ("buildah", "podman", "runc", "mmdebstrap")

DEBIAN_PACKAGES = "buildah podman runc mmdebstrap"

DOCKER = ROOT / "docker"

_PYTHON = "3.12"

_LIBRARIES = (
    "base-files,base-passwd,bash,coreutils,dash,debianutils,findutils,grep,sed,libc-bin,libc6,"
    "libbz2-1.0,libexpat1,libffi8,libgcc-s1,liblzma5,libncursesw6,libreadline8,libsqlite3-0,"
    "libssl3,libstdc++6,libuuid1,zlib1g"
)
"""Debian's packages that a shell, Python and Triton need."""

_PYTHON_BASE = """\
FROM scratch
ADD debian.tar /
COPY python /usr/local
RUN cp /usr/share/base-passwd/passwd.master /etc/passwd \\
 && cp /usr/share/base-passwd/group.master /etc/group && ldconfig
"""

_TRITON_BASE = """\
FROM {python}
COPY tritonserver /opt/tritonserver
ENV PATH=/opt/tritonserver/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \\
    LD_LIBRARY_PATH=/opt/tritonserver/lib
"""


@cache
def _python_prefix() -> Path | None:
    """Where this machine has the images' Python with a shared library and pip, or None."""
    asked = (
        "import pip, sys, sysconfig; print(sys.base_prefix); "
        "sys.exit(not sysconfig.get_config_var('Py_ENABLE_SHARED'))"
    )
    for found in (shutil.which(f"python{_PYTHON}"), *_of_pyenv()):
        if found is None:
            continue
        done = subprocess.run([found, "-c", asked], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return Path(done.stdout.strip())
    return None


def _of_pyenv() -> list[str]:
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    return [str(path) for path in root.glob(f"versions/{_PYTHON}.*/bin/python{_PYTHON}")]


def why_no_images() -> str | None:
    """What keeps images from being built and run here, or None."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        return (
            f"no {missing[0]} (on Debian: apt-get install --no-install-recommends "
            f"{DEBIAN_PACKAGES})"
        )
    if os.geteuid():
        return "buildah and podman run as root here"
    if platform.freedesktop_os_release().get("ID") != "debian":
        return "the stand-in for the base images is made of this machine's Debian"
    if _python_prefix() is None:
        return f"no Python {_PYTHON} with a shared library and pip, for the stand-in of its image"
    return None


@dataclass(frozen=True)
class Storage:
    """Images and containers in a folder of their own."""

    folder: Path

    def call(self, program: str, *arguments: str | Path) -> str:
        """Run buildah or podman, and return its standard output."""
        return self._done(program, *arguments).stdout

    def logs(self, container: str) -> str:
        """All that a container has printed."""
        done = self._done("podman", "logs", container)
        return done.stdout + done.stderr

    def _done(self, program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        place = [f"--root={self.folder / 'storage'}", f"--runroot={self.folder / 'run'}"]
        words = [str(each) for each in arguments]
        done = finished([program, *place, *words], env=self._environment())
        if done.returncode:
            output = f"{done.stdout[-2000:]}{done.stderr[-3000:]}"
            raise AssertionError(f"{program} {' '.join(words[:3])} failed: {output}")
        return done

    def _environment(self) -> dict[str, str]:
        """Without this environment's own Python: podman passes on what it is told alone.

        Podman keeps its locks in the folder too, not in /dev/shm, where they would stay.
        """
        settings = self.folder / "containers.conf"
        if not settings.exists():
            settings.write_text(
                f'[engine]\nlock_type = "file"\ntmp_dir = "{self.folder / "tmp"}"\n'
            )
        own = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        return {**own, "CONTAINERS_CONF": str(settings)}

    def build(self, dockerfile: Path, tag: str, folder: Path, *options: str) -> None:
        """Build an image as Docker would, from bases that are here."""
        self.call(
            "buildah",
            *("bud", "--isolation=chroot", "--network=host", "--format=docker", "--pull=never"),
            *("--layers=false", "--volume=/etc/ssl/certs:/etc/ssl/certs:ro", *options),
            *("--file", dockerfile, "--tag", tag, folder),
        )

    def run(self, *arguments: str | Path) -> str:
        """Run a container with the rights of ``docker/compose.yaml``, and return its output."""
        return self.call("podman", "run", "--runtime=runc", *limited(), *arguments)


def _pins(requirements: str) -> dict[str, str]:
    """The pins of packages by name, with hashes; of several the last, for the latest Python."""
    return {
        found[1]: found[0]
        for found in re.finditer(r"^([\w-]+)==.*\n(?:    .*\n)+", requirements, re.MULTILINE)
    }


def context_for_the_wheel(folder: Path) -> Path:
    """A copy of what the server's image is built from, with a NumPy that Triton 2.51 knows."""
    for name in ("docker", "model_repository", "pipeline", "requirements", "training"):
        unused = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, ignore=unused)
    for name in (".dockerignore", "LICENSE", "README.md", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    pinned = folder / "requirements" / "server-image.txt"
    known = _pins((ROOT / "requirements" / "dev.txt").read_text())
    pins = _pins(pinned.read_text())
    pinned.write_text("".join(known.get(name, pin) for name, pin in pins.items()))
    return folder


def limited() -> list[str]:
    """Options of podman for the rights that Compose gives the server."""
    service = YAML(typ="safe").load(DOCKER / "compose.yaml")["services"]["server"]
    folders = [each.partition(":") for each in service["tmpfs"]]
    assert service["read_only"] is True
    return [
        *("--read-only", "--read-only-tmpfs=false", f"--user={service['user']}"),
        *(f"--cap-drop={each}" for each in service["cap_drop"]),
        *(f"--security-opt={each.removesuffix(':true')}" for each in service["security_opt"]),
        # Podman's tmpfs are root's; a volume has the owner that the image gives its folder.
        *(f"--{'volume' if 'uid=' in told else 'tmpfs'}={path}" for path, _, told in folders),
        # Processes of a container have at most what root has here, who may lack SYS_RESOURCE.
        *("--ulimit=nofile=1024:4096", f"--ulimit=nproc={service['pids_limit']}"),
    ]


@contextlib.contextmanager
def storage_with_bases(folder: Path) -> Iterator[Storage]:
    """A storage that has the stand-ins for the bases of client and server, and ends with all.

    Where such an image cannot be made and run at all, as in some containers, the test is skipped.
    """
    storage = Storage(folder)
    try:
        python, triton = _bases()
        try:
            _make_python(folder / "python")
            storage.build(folder / "python" / "Dockerfile", python, folder / "python")
            storage.run("--rm", "--network=none", python, "true")
        except AssertionError as error:
            pytest.skip(f"no image can be built and run here: {str(error)[-400:]}")
        _make_triton(folder / "triton", python)
        storage.build(folder / "triton" / "Dockerfile", triton, folder / "triton")
        yield storage
    finally:
        with contextlib.suppress(AssertionError):
            storage.call("podman", "system", "reset", "--force")


def _bases() -> tuple[str, str]:
    """The names of the bases, from the Dockerfile of the server."""
    text = (DOCKER / "server" / "Dockerfile").read_text()
    (python,) = re.findall(r"^FROM (python:\S+) AS wheel$", text, re.MULTILINE)
    (triton,) = re.findall(r"^ARG TRITON_IMAGE=(\S+)$", text, re.MULTILINE)
    return f"docker.io/library/{python}", triton


def _make_python(folder: Path) -> None:
    prefix = _python_prefix()
    assert prefix is not None
    binaries, libraries = folder / "python" / "bin", folder / "python" / "lib"
    binaries.mkdir(parents=True)
    shutil.copy(prefix / "bin" / f"python{_PYTHON}", binaries)
    for name in ("python3", "python"):
        (binaries / name).symlink_to(f"python{_PYTHON}")
    unused = shutil.ignore_patterns("__pycache__", "test", "config-*", "idlelib", "tkinter")
    shutil.copytree(
        prefix / "lib" / f"python{_PYTHON}", libraries / f"python{_PYTHON}", ignore=unused
    )
    shutil.copy(prefix / "lib" / f"libpython{_PYTHON}.so.1.0", libraries)
    suite = platform.freedesktop_os_release()["VERSION_CODENAME"]
    made = ["--quiet", "--variant=extract", f"--include={_LIBRARIES}", suite]
    done = finished(["mmdebstrap", *made, folder / "debian.tar"])
    assert done.returncode == 0, done.stderr
    (folder / "Dockerfile").write_text(_PYTHON_BASE)


def _make_triton(folder: Path, python: str) -> None:
    wheel, server = triton_wheel.wheel_folder(), folder / "tritonserver"
    for name in ("bin", "backends", "caches"):
        shutil.copytree(wheel / name, server / name, dirs_exist_ok=True)
    stub = wheel / "python_backend_stubs" / _PYTHON / "triton_python_backend_stub"
    shutil.copy(stub, server / "backends" / "python")
    shutil.copytree(wheel.parent.parent / "nvidia_pytriton.libs", server / "lib")
    (folder / "Dockerfile").write_text(_TRITON_BASE.format(python=python))
