"""Refinement: the density of molecules behind the summed detections, which learns no shape."""
