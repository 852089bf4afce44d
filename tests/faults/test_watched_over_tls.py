"""``recon-client serve`` with TLS: it is watched by TLS too, and replaced when it is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from fakes.certificates import authority, issued, needs_openssl
from fakes.command_line import PLAIN, invoke, one_line
from fakes.processes import CLIENT, children, free_port, started, wait_for
from fakes.real_servers import counted, hold_a_request
from smlm_pipeline import contract

pytestmark = [pytest.mark.triton, needs_openssl]


def test_a_film_by_mutual_tls_on_a_server_that_is_killed(
    film_of_64: Path,
    tmp_path: Path,
    small_repository: Path,
    undisturbed: NDArray[np.float32],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (certificate, key), (own, own_key) = issued("server"), issued("client", "DNS:client")
    ca = ["--tls-ca", str(authority().ca)]
    serve = [*CLIENT, "serve", "--port", str(free_port()), *ca]
    serve += ["--tls-cert", str(certificate), "--tls-key", str(key)]
    serve += ["--model-repository", str(small_repository)]
    image = tmp_path / "image.tif"
    with started(serve, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as serving:
        assert serving.stdout is not None
        lines = [serving.stdout.readline() for _ in range(4)]
        address, metrics_url = lines[0].split()[-1], lines[2].split()[-1]

        def strike() -> None:
            metric = "nv_inference_request_success"
            asked = contract.RECONSTRUCTION.name
            wait_for(lambda: counted(metrics_url, metric, asked) >= 6, "the server to work")
            os.killpg(children(serving.pid)[0], signal.SIGKILL)
            struck.set()

        struck = threading.Event()
        hold_a_request(monkeypatch, struck)
        striker = threading.Thread(target=strike)
        striker.start()
        options = [
            *PLAIN,
            "--chunk-frames",
            "2",
            "--in-flight",
            "3",
            "--attempts",
            "20",
            "-q",
            *ca,
        ]
        options += ["--tls-cert", str(own), "--tls-key", str(own_key)]
        done = invoke("submit", film_of_64, "-o", image, "--server", address, *options)
        striker.join()
        assert done.exit_code == 0, done.stderr
        np.testing.assert_array_equal(tifffile.imread(image), undisturbed)
        without = invoke("status", "--server", address, *ca)
        assert "it asks for a certificate of its clients" in one_line(without)
        serving.send_signal(signal.SIGTERM)
        _, said = serving.communicate(timeout=60)
    assert " ended" in said.splitlines()[0]  # the server, or a model of it
    assert "; restarting (1 of 5)" in said
    assert "restarted after " in said
