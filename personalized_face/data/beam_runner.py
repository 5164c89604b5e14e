"""Runs units as an Apache Beam pipeline: on one machine, or on Flink, Spark, Dataflow.

The same functions as data/runner.py, and so the same bytes. Units are written to the
work folder, which has to be one that every worker sees (a shared file system), at the
same path, like the inputs. Needs `pip install personalized_face[beam]`.
"""

import threading
from collections.abc import Iterator, Sequence

from personalized_face.core.errors import UserError
from personalized_face.data.corpora import ClipSource
from personalized_face.data.detector import FaceDetector
from personalized_face.data.units import (
  Unit,
  Work,
  crashed_unit,
  finished_unit,
  run_unit,
  unit_key,
)

# Beam's workers have several threads, and a detector belongs to one of them.
_of_thread = threading.local()


def prepare_source(source: tuple, work: Work, detector=None) -> str:
  """Prepares one source, given as a plain tuple; what a worker does.

  Returns:
    The key of the unit that it wrote.
  """
  if getattr(_of_thread, "work", None) != work:
    made = detector() if callable(detector) else detector
    _of_thread.work, _of_thread.labeller = work, work.labeller(made)
  return run_unit(ClipSource(*source), work, _of_thread.labeller).key


def run_units(
  sources: Sequence[ClipSource],
  work: Work,
  num_workers: int = 0,
  detector: FaceDetector | None = None,
  progress: bool = False,
  flags: Sequence[str] = (),
) -> Iterator[Unit]:
  """Prepares sources by a Beam pipeline; takes the place of `runner.run_units`.

  Args:
    sources: the clips.
    work: settings, and where the files go.
    num_workers: processes of the DirectRunner; below 2 one thread.
    detector: of faces; None takes MediaPipe's. Otherwise a class or a function without
      arguments that each worker calls.
    progress: not used: a pipeline runs as a whole.
    flags: Beam's own, such as "--runner=FlinkRunner"; they have the last word.

  Yields:
    The units, once the pipeline has ended. A source that is missing there, since its
    worker died of it, has "crashed".

  Raises:
    UserError: Beam is not installed.
  """
  del progress
  try:
    import apache_beam as beam
    from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions
  except ImportError as error:
    raise UserError(
      "Apache Beam is not installed; install it with: pip install "
      "'personalized_face[beam]'"
    ) from error
  options = PipelineOptions(list(flags))
  direct = options.view_as(DirectOptions)
  if num_workers > 1 and not flags:
    direct.direct_num_workers = num_workers
    direct.direct_running_mode = "multi_processing"
  with beam.Pipeline(options=options) as pipeline:
    (
      pipeline
      | "Sources" >> beam.Create([tuple(source) for source in sources])
      # Without it a runner fuses everything into one worker.
      | "Spread" >> beam.Reshuffle()
      | "Units" >> beam.Map(prepare_source, work, detector)
    )
  for source in sources:
    unit = finished_unit(work, unit_key(source, work))
    yield unit or crashed_unit(source, work, None)
