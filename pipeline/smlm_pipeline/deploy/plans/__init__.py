"""TensorRT plans: built from ``model.onnx`` on the GPU that serves, checked, kept and put in place.

A plan is tied to the GPU's compute capability and to TensorRT's version, so it is
not part of a release. ``prepare`` finds it in a cache or builds it, compares its answers
to reference frames with those of ONNX Runtime, and only then puts it where Triton
loads it.
"""
