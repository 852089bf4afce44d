"""What a real server counts."""

from __future__ import annotations

import urllib.request

from smlm_pipeline import contract
from smlm_pipeline.engines.embedded import EmbeddedServer


def answered(server: EmbeddedServer) -> int:
    """Requests that its ensemble has answered, by its own count."""
    with urllib.request.urlopen(server.metrics_url, timeout=10) as answer:  # noqa: S310 - loopback
        lines = answer.read().decode().splitlines()
    counter = f'nv_inference_request_success{{model="{contract.RECONSTRUCTION.name}"'
    return sum(int(float(line.rsplit(" ", 1)[1])) for line in lines if line.startswith(counter))
