"""TensorRT plans: built from ``model.onnx`` on the GPU that serves, checked, kept and put in place.

A plan is tied to the GPU's compute capability and to TensorRT's version, so it is
not part of a release. ``prepare`` finds it in a cache or builds it, lets it answer
reference frames whose answers by ONNX Runtime lie beside the network, and only
then puts it where Triton loads it.
"""
