"""The images of ``docker/``, built from their Dockerfiles and run as Compose runs them."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile

from fakes.images import DOCKER, Storage, context_for_the_wheel, storage_with_bases
from fakes.places import ROOT
from fakes.processes import wait_for
from smlm_pipeline.engines.local import LocalTransport
from smlm_pipeline.film.film import open_film
from smlm_pipeline.reconstruction import reconstruct
from smlm_pipeline.settings import Settings

pytestmark = [pytest.mark.triton, pytest.mark.images, pytest.mark.timeout(1800)]

CLIENT, SERVER = "smlm-recon-client", "smlm-recon-server-cpu"

IN_ITS_NETWORK = "--network=container:server"
"""A client that reaches the server as its health check does, and no one else."""


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Storage]:
    context = context_for_the_wheel(tmp_path_factory.mktemp("context"))
    with (
        tempfile.TemporaryDirectory(prefix="smlm_") as short,  # podman takes 50 characters at most
        storage_with_bases(Path(short)) as made,
    ):
        made.build(DOCKER / "client" / "Dockerfile", CLIENT, ROOT)
        made.build(DOCKER / "server" / "Dockerfile", SERVER, context, "--target=cpu")
        yield made


@pytest.fixture(scope="module")
def server(storage: Storage) -> Iterator[Storage]:
    """The server of the image, alone in a network of its own, when it has answered a canary."""
    storage.run("--detach", "--name=server", "--network=none", "--shm-size=2g", SERVER)

    def healthy() -> bool:
        try:
            storage.call("podman", "healthcheck", "run", "server")
        except AssertionError:
            state = storage.call("podman", "inspect", "server", "--format={{.State.Status}}")
            if state.strip() == "running":
                return False
            raise AssertionError(storage.logs("server")) from None
        return True

    wait_for(healthy, "the health check of the server's image")
    yield storage
    storage.call("podman", "stop", "--time=90", "server")
    code = storage.call("podman", "inspect", "server", "--format={{.State.ExitCode}}")
    storage.call("podman", "rm", "--volumes", "server")
    assert code.strip() == "0"


def _inside(storage: Storage, *command: str) -> str:
    return storage.call("podman", "exec", "server", *command)


def test_the_client_states_its_version(storage: Storage) -> None:
    assert re.fullmatch(r"recon-client \d+\.\d+\.\d+\n", storage.run("--rm", CLIENT, "--version"))


def test_a_canary_is_answered(server: Storage) -> None:
    asked = ["status", "--server=127.0.0.1:8001", "--json"]
    told = json.loads(server.run("--rm", IN_ITS_NETWORK, CLIENT, *asked))
    assert told["fits"] is True
    assert told["canary"]["emitters"] > 0.5


def test_the_image_is_that_without_images(
    server: Storage, film_file: Path, tmp_path: Path, local_transport: LocalTransport
) -> None:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)  # for user 1000
    (folder / "film.tif").write_bytes(film_file.read_bytes())
    asked = ["submit", "film.tif", "--server=127.0.0.1:8001", "-o", "image.tif", "--json"]
    asked.append("--refine=off")
    told = json.loads(
        server.run("--rm", IN_ITS_NETWORK, f"--volume={folder}:/data", CLIENT, *asked)
    )
    with open_film(film_file) as film:
        here = reconstruct(film, local_transport, Settings())
    assert told["frames"] == here.frame_count
    assert (folder / "image.tif").stat().st_uid == 1000
    np.testing.assert_array_equal(tifffile.imread(folder / "image.tif"), here.image)


def test_loops_are_compiled_when_the_image_is_built(
    server: Storage, film_file: Path, tmp_path: Path
) -> None:
    """A read-only container would compile them for seconds at the first film of each server."""
    kept = "cd /opt/recon/compiled-loops && find . -type f | sort"
    used = "cd /run/recon/compiled-loops && find . -type f | sort"
    folder = tmp_path / "data"
    folder.mkdir()
    folder.chmod(0o777)
    (folder / "film.tif").write_bytes(film_file.read_bytes())
    asked = ["submit", "film.tif", "--server=127.0.0.1:8001", "-o", "image.tif"]
    asked += ["--molecules=table.csv", "--refine=off"]
    server.run("--rm", IN_ITS_NETWORK, f"--volume={folder}:/data", CLIENT, *asked)
    assert len((folder / "table.csv").read_text().splitlines()) > 10
    before = _inside(server, "sh", "-c", kept)
    assert before.count(".nbc") >= 2
    assert _inside(server, "sh", "-c", used) == before


def test_the_server_has_no_rights(server: Storage) -> None:
    status = _inside(server, "cat", "/proc/1/status")
    assert re.search(r"^Uid:\t1000\t1000\t1000\t1000$", status, re.MULTILINE)
    assert re.search(r"^CapEff:\t0+$", status, re.MULTILINE)
    assert re.search(r"^CapBnd:\t0+$", status, re.MULTILINE)
    assert re.search(r"^NoNewPrivs:\t1$", status, re.MULTILINE)
    assert re.search(r"^Seccomp:\t2$", status, re.MULTILINE)
    for path in ("/opt/recon/new", "/usr/local/bin/recon-server", "/new", "/var/new"):
        with pytest.raises(AssertionError, match=r"Read-only file system|Permission denied"):
            _inside(server, "sh", "-c", f"echo 1 >> {path}")


def test_a_model_that_dies_is_started_again_within_the_container(server: Storage) -> None:
    stubs = (
        "for each in /proc/[0-9]*; do "  # the pattern does not find itself
        "grep -qa '[/]unet/1/model.py' $each/cmdline && basename $each; done; true"
    )
    pids = _inside(server, "sh", "-c", stubs).split()
    assert pids, "the network's process"
    _inside(server, "python3", "-c", f"import os; os.kill({pids[0]}, 9)")
    wait_for(
        lambda: "restarted after" in server.logs("server"),
        "the server to be started again",
    )
    wait_for(lambda: _is_healthy(server), "the health check to pass again")


def _is_healthy(server: Storage) -> bool:
    try:
        server.call("podman", "healthcheck", "run", "server")
    except AssertionError:
        return False
    return True


def test_images_are_small_and_state_their_license(storage: Storage) -> None:
    for image, most_mb in ((CLIENT, 700), (SERVER, 1300)):
        (told,) = json.loads(storage.call("podman", "image", "inspect", image))
        assert told["Labels"]["org.opencontainers.image.licenses"] == "Apache-2.0"
        assert told["Size"] < most_mb * 1e6
