"""Triton's model ``normalize``."""

from smlm_pipeline.serving.normalization import TritonPythonModel as TritonPythonModel
