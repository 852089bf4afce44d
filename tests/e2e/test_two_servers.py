"""Two real servers on one machine share a film, and the image is that of the in-process engine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from fakes.command_line import PLAIN
from fakes.real_servers import answered, short_lived
from smlm_pipeline.cli.app import app
from smlm_pipeline.engines.embedded import EmbeddedServer
from smlm_pipeline.engines.local import LocalTransport
from smlm_pipeline.film.film import open_film
from smlm_pipeline.reconstruction import reconstruct
from smlm_pipeline.settings import Settings

pytestmark = pytest.mark.triton


@pytest.fixture(scope="module")
def second(model_repository: Path) -> Iterator[EmbeddedServer]:
    with short_lived(EmbeddedServer(model_repository)) as server:
        yield server


def test_both_get_work_and_the_image_is_the_local_one(
    film_file: Path,
    tmp_path: Path,
    triton: EmbeddedServer,
    second: EmbeddedServer,
    local_transport: LocalTransport,
) -> None:
    image = tmp_path / "image.tif"
    before = [answered(server) for server in (triton, second)]
    asked = ["submit", str(film_file), "-o", str(image), "--json", "--chunk-frames", "2"]
    asked += PLAIN
    servers = f"{triton.address},{second.address}"
    result = CliRunner().invoke(app, [*asked, "--server", servers])
    assert result.exit_code == 0, result.output
    after = [answered(server) for server in (triton, second)]
    done = [now - then for now, then in zip(after, before, strict=True)]
    told = json.loads(result.stdout)
    assert sum(done) == told["chunks"] == 20
    assert min(done) >= 5
    assert told["engine"] == f"Triton at {triton.address} and {second.address}"
    with open_film(film_file) as film:
        here = reconstruct(film, local_transport, Settings(refine="off", brightness="off")).image
    assert here.any()
    np.testing.assert_array_equal(tifffile.imread(image), here)


def test_status_tells_of_both(triton: EmbeddedServer, second: EmbeddedServer) -> None:
    servers = f"{triton.address},{second.address}"
    asked = ["status", "--server", servers, "--canary", "--json"]
    result = CliRunner().invoke(app, asked)
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["fits"] is True
    assert [each["address"] for each in told["servers"]] == servers.split(",")
    assert all(each["canary"]["emitters"] > 0.5 for each in told["servers"])


@pytest.mark.parametrize("host", ["localhost", "[::ffff:127.0.0.1]"])
def test_a_server_by_name_and_by_another_family(
    film_file: Path, tmp_path: Path, triton: EmbeddedServer, host: str
) -> None:
    """A name goes to gRPC as it is, and an address of IPv6 in its brackets."""
    address = f"{host}:{triton.address.rsplit(':', 1)[1]}"
    asked = ["submit", str(film_file), "-o", str(tmp_path / "image.tif"), "--json"]
    result = CliRunner().invoke(app, [*asked, "--server", address])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["engine"] == f"Triton at {address}"
