"""The models that run inside Triton's Python backend.

Each ``model.py`` of the model repository imports ``TritonPythonModel`` from one module of this
package. Triton runs every model in a process of its own, so a module imports only what its own
model needs.
"""
