"""Scalars for TensorBoard, which need no TensorBoard to be written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import tensorflow as tf

WriteScalars = Callable[[int, Mapping[str, float]], None]
"""(step, values by the name of their chart)"""


@contextmanager
def scalars_to(folder: Path) -> Iterator[WriteScalars]:
    """Open an event file in ``folder``, made where it is missing, and give its writer.

    ``tf.summary.scalar`` belongs to TensorBoard, which TensorFlow no longer
    brings along; this writes the same records.
    """
    plugin = tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars")
    metadata = tf.compat.v1.SummaryMetadata(plugin_data=plugin, data_class="DATA_CLASS_SCALAR")
    with closing(tf.summary.create_file_writer(str(folder))) as events:

        def write(step: int, scalars: Mapping[str, float]) -> None:
            with events.as_default(step=step):
                for name, value in scalars.items():
                    tf.summary.write(name, tf.constant(value, tf.float32), metadata=metadata)
            events.flush()

        yield write
