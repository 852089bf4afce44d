"""Triton's model of every network, where it runs on a CPU."""

from smlm_pipeline.serving.network import TritonPythonModel as TritonPythonModel
