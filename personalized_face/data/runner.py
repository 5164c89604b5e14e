"""Runs units: in this process, or dealt out to several.

A worker gets one source at a time. If it dies of it, the source gets its row and
another worker takes its place; if this process dies, the workers end by themselves at
the next source, and what they finished stays finished.
"""

import importlib
import multiprocessing
from collections.abc import Iterator, Sequence
from multiprocessing import connection
from typing import NamedTuple

from personalized_face.data.corpora import ClipSource
from personalized_face.data.detector import FaceDetector
from personalized_face.data.units import Unit, Work, crashed_unit, run_unit

_WORKER_MODULE = "personalized_face.data.worker"


class _Worker(NamedTuple):
  process: multiprocessing.Process
  pipe: connection.Connection


def run_units(
  sources: Sequence[ClipSource],
  work: Work,
  num_workers: int = 0,
  detector: FaceDetector | None = None,
  progress: bool = False,
) -> Iterator[Unit]:
  """Prepares sources, in no particular order where there are several workers.

  Args:
    sources: the clips.
    work: settings, and where the files go.
    num_workers: processes; 0 works in this one.
    detector: of faces; None takes MediaPipe's. With workers it must be a class or a
      function without arguments that each of them calls.
    progress: whether to show a bar over the frames of each source; in this process.

  Yields:
    The units as they are finished.
  """
  if not num_workers:
    labeller = work.labeller(detector)
    for source in sources:
      yield run_unit(source, work, labeller, progress)
    return
  yield from _Pool(work, detector, min(num_workers, len(sources))).run(sources)


class _Pool:
  """Worker processes, each with one source at a time."""

  def __init__(self, work: Work, detector, size: int):
    # Not forked from here: a fork copies the locks of TensorFlow's threads, held. The
    # fork server has imported the libraries, and started none of their threads.
    self._context = multiprocessing.get_context("forkserver")
    self._context.set_forkserver_preload([_WORKER_MODULE])
    self._work, self._detector, self._size = work, detector, size
    self._busy: dict[connection.Connection, tuple[_Worker, ClipSource]] = {}

  def run(self, sources: Sequence[ClipSource]) -> Iterator[Unit]:
    waiting = list(reversed(sources))
    idle: list[_Worker] = []
    try:
      while waiting or self._busy:
        while waiting and len(self._busy) < self._size:
          self._give(idle.pop() if idle else self._start(), waiting.pop())
        for pipe in connection.wait(list(self._busy)):
          hired, source = self._busy.pop(pipe)
          unit = self._result(hired, source)
          if unit.row.status != "crashed":
            idle.append(hired)
          yield unit
    finally:
      for hired in (*idle, *(hired for hired, _ in self._busy.values())):
        hired.pipe.close()
        hired.process.terminate()
        hired.process.join()

  def _start(self) -> _Worker:
    ours, theirs = self._context.Pipe()
    process = self._context.Process(target=_start_worker, args=(theirs,), daemon=True)
    process.start()
    theirs.close()
    ours.send((self._work, self._detector))
    return _Worker(process, ours)

  def _give(self, hired: _Worker, source: ClipSource) -> None:
    self._busy[hired.pipe] = (hired, source)
    try:
      hired.pipe.send(source)
    except (BrokenPipeError, ConnectionResetError):
      pass  # dead already; its pipe reads as ended

  def _result(self, hired: _Worker, source: ClipSource) -> Unit:
    try:
      result = hired.pipe.recv()
    except (EOFError, ConnectionResetError):
      hired.process.join()
      return crashed_unit(source, self._work, hired.process.exitcode)
    if isinstance(result, Exception):
      raise result  # of the machine, such as a full disk: it would meet every source
    return result


def _start_worker(pipe: connection.Connection) -> None:
  """Imported in the worker only: this process has no use for it."""
  importlib.import_module(_WORKER_MODULE).main(pipe)
