"""How much of a training step is waiting for data, by TensorFlow's own profiler.

    tf.profiler's folder -> <host>.xplane.pb -> share of the steps in IteratorGetNext

The same figure that TensorBoard's input-pipeline page shows, without its plugin: the
time that the host spends in the op which hands over the next batch.
"""

import os

from personalized_face.core.errors import UserError

TRACED_STEP = "train"  # what the profile calls a step
_WAIT = "IteratorGetNextOp::DoCompute"


def traced_wait_percent(folder: str) -> float:
  """The share of the traced steps in which the host waited for a batch.

  Args:
    folder: of `tf.profiler.experimental.Profile`; its newest profile is read.

  Raises:
    UserError: no profile there, or none with steps in it.
  """
  from tensorflow.tsl.profiler.protobuf import xplane_pb2

  paths = [
    os.path.join(parent, name)
    for parent, _, names in os.walk(folder)
    for name in names
    if name.endswith(".xplane.pb")
  ]
  if not paths:
    raise UserError(f"{folder} holds no profile; give another --trace_dir.")
  space = xplane_pb2.XSpace()
  with open(max(paths, key=os.path.getmtime), "rb") as file:
    space.ParseFromString(file.read())
  picoseconds = {TRACED_STEP: 0, _WAIT: 0}
  for plane in space.planes:
    for line in plane.lines:
      for event in line.events:
        name = plane.event_metadata[event.metadata_id].name
        if name in picoseconds:
          picoseconds[name] += event.duration_ps
  if not picoseconds[TRACED_STEP]:
    raise UserError(f"The profile in {folder} has no steps; give another --trace_dir.")
  return 100 * picoseconds[_WAIT] / picoseconds[TRACED_STEP]
