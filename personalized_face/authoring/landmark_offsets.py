"""The file of a template's `landmark_offsets`, and the default template's own.

pipelines/landmark_calibration.py measures them; `pface_build_template --seen_csv`
writes this file.
"""

import csv

import numpy as np

from personalized_face import resources
from personalized_face.authoring import reference_landmarks


def default_path() -> str:
  """The default template's offsets that ship with the package."""
  return resources.default_template_file("landmark_offsets.csv")


def read(path: str) -> np.ndarray:
  """Reads offsets, [68, 3] float32, shares of the distance of landmarks 0 and 16.

  Raises:
    UserError: missing or not such a file.
  """
  return reference_landmarks.read_rows(path).astype(np.float32)


def write(path: str, offsets: np.ndarray, remark: str) -> None:
  """Writes such a file.

  Args:
    path: of the CSV.
    offsets: [68, 3], see FaceTemplate.
    remark: what they were measured on; its lines begin the file as comments.
  """
  with open(path, "w", newline="") as file:
    file.writelines(f"# {line}\n" for line in remark.splitlines())
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(("landmark", *"xyz"))
    # No "-0.0000".
    for i, offset in enumerate(np.round(np.asarray(offsets, np.float64), 4) + 0.0):
      writer.writerow((i, *(f"{value:.4f}" for value in offset)))
