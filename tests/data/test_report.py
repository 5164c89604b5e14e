"""What a preparation says at its end."""

from personalized_face.data import gates, report


def info(inputs):
  counts = dict.fromkeys(gates.GATES, 0) | {"no_face": 3, "too_small": 2}
  return {
    "gates": {"read": 40, **counts},
    "splits": {"train": {"frames": 30}, "test": {"frames": 5}},
    "inputs": inputs,
  }


def test_describe_says_what_was_dropped_and_kept():
  assert report.describe(info({"ok": 2}), "records") == (
    "40 frames: 3 without the face, 2 too small; 30 for training and 5 held out are in "
    "records."
  )


def test_describe_says_which_inputs_are_not_in_it():
  text = report.describe(info({"ok": 2, "unreadable": 1, "no face": 4}), "records")
  assert text.endswith(
    "\nOf 7 inputs 2 are in it, 4 no face, 1 unreadable: see records/manifest.csv."
  )


def test_memory_is_in_mebibytes():
  # Of a Python with numpy: tens of MiB, and no more than a machine has.
  assert 20 < report.peak_memory_mib()["process"] < 1e6
