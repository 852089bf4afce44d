"""A server of contract 2, as it looks from outside: three steps, and the film's mean."""

from __future__ import annotations

from pathlib import Path

_STATED = 'max_batch_size: 0\nparameters { key: "contract_version" value { string_value: "2" } }\n'

_FRAMES = '{ name: "FRAMES" data_type: TYPE_UINT16 dims: [ -1, -1, -1 ] }'
_LEVELS = '{ name: "LEVELS" data_type: TYPE_FP32 dims: [ -1, 2 ] }'
_MEAN = '{ name: "FILM_MEAN" data_type: TYPE_FP32 dims: [ -1, -1 ] }'
_WINDOW = '{ name: "WINDOW" data_type: TYPE_INT32 dims: [ 5 ] }'
_NORMALIZED = '{ name: "NORMALIZED" data_type: TYPE_FP32 dims: [ -1, 2, -1, -1 ] }'
_DETECTIONS = '{ name: "DETECTIONS" data_type: TYPE_FP32 dims: [ -1, 5, -1, -1 ] }'
_IMAGE = '{ name: "IMAGE" data_type: TYPE_INT32 dims: [ -1, -1 ] }'
_COUNT = '{ name: "FRAME_COUNT" data_type: TYPE_INT32 dims: [ 1 ] }'

_STEPS = {
    "normalize": (f"{_FRAMES}, {_LEVELS}, {_MEAN}", _NORMALIZED),
    "unet": (_NORMALIZED, _DETECTIONS),
    "summation": (f"{_DETECTIONS}, {_WINDOW}", f"{_IMAGE}, {_COUNT}"),
}

_WIRES = {
    "normalize": (("FRAMES", "LEVELS", "FILM_MEAN"), ("NORMALIZED",)),
    "unet": (("NORMALIZED",), ("DETECTIONS",)),
    "summation": (("DETECTIONS", "WINDOW"), ("IMAGE", "FRAME_COUNT")),
}

_MODEL = """class TritonPythonModel:
    def execute(self, requests):
        raise RuntimeError("nobody should ask")
"""


def write_repository(folder: Path) -> Path:
    """Write models that start, with the tensors and parameters of contract 2."""
    for name, (inputs, outputs) in _STEPS.items():
        tensors = f"input [ {inputs} ]\noutput [ {outputs} ]\n"
        text = f'name: "{name}"\nbackend: "python"\n{tensors}{_STATED}'
        _write(folder / name, text + "instance_group [ { kind: KIND_CPU count: 1 } ]\n")
        (folder / name / "1" / "model.py").write_text(_MODEL)
    tensors = f"input [ {_FRAMES}, {_LEVELS}, {_MEAN}, {_WINDOW} ]\noutput [ {_IMAGE}, {_COUNT} ]\n"
    steps = ",\n".join(_step(name, *wires) for name, wires in _WIRES.items())
    text = f'name: "reconstruction"\nplatform: "ensemble"\n{tensors}{_STATED}'
    _write(folder / "reconstruction", f"{text}ensemble_scheduling {{ step [ {steps} ] }}\n")
    return folder


def _step(name: str, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> str:
    wires = [f'input_map {{ key: "{each}" value: "{each}" }}' for each in inputs]
    wires += [f'output_map {{ key: "{each}" value: "{each}" }}' for each in outputs]
    return f'{{ model_name: "{name}" model_version: -1 {" ".join(wires)} }}'


def _write(folder: Path, configuration: str) -> None:
    (folder / "1").mkdir(parents=True)
    (folder / "config.pbtxt").write_text(configuration)
