"""The frames a second that a GPU is expected to compute, counted from the network's file."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

pytest.importorskip("onnx", reason="onnx is not installed: pip install .[train]")

from fakes.networks import DETECTIONS, MAP, parsed
from fakes.places import ROOT
from smlm_bench import cli
from smlm_bench.gpu.expected import GpuPeaks, Layer, frames_per_s, layers_of

SLOW = GpuPeaks("slow arithmetic", fp32=1e9, tf32=None, fp16=2e9, memory=1e15)
NARROW = GpuPeaks("narrow memory", fp32=1e15, tf32=None, fp16=1e15, memory=1e9)


def test_a_convolution_is_counted() -> None:
    """One value is read and seven are written for each pixel, each by a product and a sum."""
    assert layers_of(parsed(DETECTIONS)) == [Layer(operations=2 * 7, values=1 + 7)]


def test_what_is_no_convolution_costs_memory() -> None:
    assert layers_of(parsed(MAP)) == [Layer(2, 2), Layer(0, 1 + 64)]


def test_the_slower_of_arithmetic_and_memory_counts() -> None:
    layers = [Layer(operations=100, values=8)]
    assert frames_per_s(layers, SLOW, "FP32", 10) == pytest.approx(0.65e9 / 100 / 100)
    assert frames_per_s(layers, SLOW, "FP16", 10) == pytest.approx(0.35 * 2e9 / 100 / 100)
    assert frames_per_s(layers, NARROW, "FP32", 10) == pytest.approx(0.8e9 / (8 * 4) / 100)
    assert frames_per_s(layers, NARROW, "FP16", 10) == pytest.approx(0.8e9 / (8 * 2) / 100)
    assert frames_per_s(layers, SLOW, "TF32", 10) is None


def test_four_times_the_pixels_take_four_times_as_long() -> None:
    layers = layers_of(parsed(DETECTIONS))
    small, large = (frames_per_s(layers, SLOW, "FP32", size_px) for size_px in (64, 128))
    assert small is not None
    assert large == pytest.approx(small / 4)


def test_the_page_has_what_the_command_prints() -> None:
    """If this fails: recon-bench gpu-expected, into docs/gpu/expected.md."""
    result = CliRunner().invoke(cli.app, ["gpu-expected"])
    assert result.exit_code == 0, result.output
    assert "| H100 SXM | " in result.stdout
    assert result.stdout in (ROOT / "docs" / "gpu" / "expected.md").read_text()
