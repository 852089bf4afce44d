"""Triton's models ``summation`` and ``summation_map``."""

from smlm_pipeline.serving.summation import TritonPythonModel as TritonPythonModel
