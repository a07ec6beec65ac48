"""One TensorBoard event file in a run's folder: described scalars, histograms, pictures and text."""

# Protobuf creates its classes when a module is imported.
# pyright: reportAttributeAccessIssue=false

import re
import struct
import time
from pathlib import Path

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import metadata as custom_scalar
from tensorboard.plugins.histogram.summary_v2 import histogram_pb
from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2
from tensorboard.plugins.hparams import metadata as hparams_metadata
from tensorboard.plugins.hparams.summary_v2 import hparams_pb
from tensorboard.plugins.text.summary_v2 import text_pb
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from tensorboard.util import tensor_util

from ebm_cli.logger import Logger

FLUSH_SECONDS = 10


class Events(Logger):
    """Writer of an event file.

    purge: TensorBoard hides the events of the folder's earlier files at this step and later; None to hide nothing.
    """

    def __init__(self, folder: Path, purge: int | None) -> None:
        self.writer = EventFileWriter(str(folder), flush_secs=FLUSH_SECONDS)
        if purge is not None:
            start = SessionLog(status=SessionLog.START)
            self.writer.add_event(Event(step=purge, session_log=start, wall_time=time.time()))

    def close(self) -> None:
        self.writer.close()

    def flush(self) -> None:
        self.writer.flush()

    def scalar(self, tag: str, value: float, step: int, description: str = "") -> None:
        metadata = SummaryMetadata(summary_description=description)
        self._add(Summary(value=[Summary.Value(tag=tag, simple_value=value, metadata=metadata)]), step)

    def histogram(self, tag: str, values: np.ndarray, step: int, description: str = "") -> None:
        """Write a histogram of finite values. There must be a value."""
        self._add(histogram_pb(tag, values.astype(np.float64), description=description), step)

    def picture(self, tag: str, png: bytes, step: int, caption: str = "") -> None:
        width, height = struct.unpack(">II", png[16:24])
        image = Summary.Image(width=width, height=height, colorspace=3, encoded_image_string=png)
        metadata = SummaryMetadata(summary_description=caption)
        self._add(Summary(value=[Summary.Value(tag=tag, image=image, metadata=metadata)]), step)

    def text(self, tag: str, markdown: str, step: int) -> None:
        self._add(text_pb(tag, markdown), step)

    def hparams(self, values: dict[str, float | str | bool], trial: str) -> None:
        """Write the hyperparameters by which TensorBoard compares runs.

        trial: unique name of this run.
        """
        self._add(hparams_pb(values, trial_id=trial), 0)

    def mark_finished(self) -> None:
        """Mark the run as finished in the table of hyperparameters."""
        end = plugin_data_pb2.SessionEndInfo(status=api_pb2.STATUS_SUCCESS, end_time_secs=time.time())
        metadata = hparams_metadata.create_summary_metadata(plugin_data_pb2.HParamsPluginData(session_end_info=end))
        value = Summary.Value(
            tag=hparams_metadata.SESSION_END_INFO_TAG, metadata=metadata, tensor=hparams_metadata.NULL_TENSOR
        )
        self._add(Summary(value=[value]), 0)

    def layout(self, categories: dict[str, dict[str, tuple[str, ...]]]) -> None:
        """Write the dashboard of custom scalars: charts by category and title, each with its tags."""

        def chart(title: str, tags: tuple[str, ...]) -> layout_pb2.Chart:
            lines = layout_pb2.MultilineChartContent(tag=[f"^{re.escape(tag)}$" for tag in tags])
            return layout_pb2.Chart(title=title, multiline=lines)

        rows = [
            layout_pb2.Category(title=name, chart=[chart(title, tags) for title, tags in charts.items()])
            for name, charts in categories.items()
        ]
        text = layout_pb2.Layout(category=rows).SerializeToString()
        value = Summary.Value(
            tag=custom_scalar.CONFIG_SUMMARY_TAG,
            metadata=custom_scalar.create_summary_metadata(),
            tensor=tensor_util.make_tensor_proto(text, dtype=np.object_),
        )
        self._add(Summary(value=[value]), 0)

    def _add(self, summary: Summary, step: int) -> None:
        self.writer.add_event(Event(summary=summary, step=step, wall_time=time.time()))
