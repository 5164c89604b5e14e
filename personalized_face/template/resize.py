"""The same template with UV maps of another size, for narrower networks."""

import dataclasses

import numpy as np

from personalized_face.template.attention import attention_masks
from personalized_face.template.face_template import FaceTemplate


def with_uv_size(template: FaceTemplate, uv_size: int) -> FaceTemplate:
  """Makes the UV maps smaller: colours and labels averaged, the A_i built anew.

  The slits of mouth and eyes, 2 texels wide at 128, are 1 texel wide at 64: what is
  corrected on one lip then bleeds a little into the other.

  Args:
    template: its UV size has to be a multiple of the new one.
    uv_size: U, texels.

  Raises:
    ValueError: another size.
  """
  factor, rest = divmod(template.uv_size, uv_size)
  if rest or not factor:
    raise ValueError(f"maps of {template.uv_size} texels do not shrink to {uv_size}")
  if factor == 1:
    return template

  def averaged(texels: np.ndarray) -> np.ndarray:
    # [U f, U f, C] -> [U, f, U, f, C] -> [U, U, C]
    blocks = texels.reshape(uv_size, factor, uv_size, factor, -1)
    return blocks.mean(axis=(1, 3), dtype=np.float64).astype(np.float32)

  return dataclasses.replace(
    template,
    name=f"{template.name} at {uv_size} texels",
    attention_masks=attention_masks(
      template.blendshape_deltas, template.uv, template.triangles, uv_size
    ),
    mean_albedo=averaged(template.mean_albedo),
    parsing_map=averaged(template.parsing_map),
  )
