"""Compare the stand-in for TensorRT with NVIDIA's own Python bindings: names, arguments, order.

As a program it does so with the bindings in a folder, in a process of its own, since every
version has the same module's name::

    python -m fakes.tensorrt_names FOLDER
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
import sys
from typing import Any

from fakes import tensorrt as fake
from smlm_pipeline.deploy.plans.tensorrt import complaints, creation_flags, major

FOR_TESTS = {"last", "profiles", "types", "names", "session", "flags", "pools", "shapes"}
"""Members of the stand-in that tests look at."""


def differences(real: Any) -> list[str]:
    """What the stand-in has that the real module has not, or has otherwise."""
    kinds = [
        (name, each)
        for name, each in inspect.getmembers(fake, inspect.isclass)
        if each.__module__ == fake.__name__
    ]
    missing = [name for name, _ in kinds if not hasattr(real, name)]
    members = [
        f"{name}.{difference}"
        for name, each in kinds
        if name not in missing
        for difference in _of_class(each, getattr(real, name))
    ]
    return missing + members


def _of_class(own: type, real: type) -> list[str]:
    """Every method, property and member, and every argument by its name and place."""
    found = []
    for name, each in vars(own).items():
        if name.startswith("_") or name in FOR_TESTS:
            continue
        if not hasattr(real, name):
            found.append(name)
        elif inspect.isfunction(each):
            arguments = [word for word in inspect.signature(each).parameters if word != "self"]
            signatures = re.findall(r"\((.*)\) ->", str(getattr(real, name).__doc__))
            known = [re.findall(r"(\w+):", text)[1 : 1 + len(arguments)] for text in signatures]
            if known and arguments not in known:
                found.append(f"{name}({', '.join(arguments)}), in truth {signatures}")
    return found


def _quoted(real: Any) -> str:
    """What the plan builder's logger keeps of three messages."""
    log = complaints(real)
    for severity, line in (("INFO", "by the way"), ("WARNING", "mind"), ("ERROR", "failed")):
        log.log(getattr(real.ILogger.Severity, severity), line)
    return str(log.summary())


if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
    bindings = importlib.import_module("tensorrt_bindings")
    found = {
        "version": bindings.__version__,
        "differences": differences(bindings),
        "quoted": _quoted(bindings),
        "creation flags": creation_flags(bindings, major(bindings.__version__)),
        "precision flags": [
            name for name in dir(bindings.BuilderFlag) if re.fullmatch("FP16|BF16|FP8|INT8", name)
        ],
    }
    sys.stdout.write(json.dumps(found))
