"""Where the nodes of a glTF file stand: its scene graph as matrices.

Matrices are [4, 4] on column vectors. Reference: glTF 2.0 specification, section 3.5.
"""

import numpy as np
from scipy.spatial.transform import Rotation

from personalized_face.data.gltf import GltfFile


def shown_nodes(file: GltfFile) -> set[int]:
  """The nodes of the file's scene; all of them where it has none."""
  nodes, scenes = file.items("nodes"), file.items("scenes")
  if not scenes:
    return set(range(len(nodes)))
  shown, waiting = set(), list(scenes[file.document.get("scene", 0)].get("nodes", []))
  while waiting:
    index = waiting.pop()
    if index not in shown:
      shown.add(index)
      waiting += nodes[index].get("children", [])
  return shown


def world_matrices(file: GltfFile) -> list[np.ndarray]:
  """The transforms of all nodes, in their order.

  Raises:
    ValueError: the nodes are no trees.
  """
  nodes = file.items("nodes")
  children = [child for node in nodes for child in node.get("children", [])]
  if len(set(children)) < len(children):
    raise ValueError("a node hangs from two others")
  waiting = [(index, np.eye(4)) for index in set(range(len(nodes))) - set(children)]
  worlds = {}
  while waiting:
    index, above = waiting.pop()
    worlds[index] = above @ local_matrix(nodes[index])
    waiting += [(child, worlds[index]) for child in nodes[index].get("children", [])]
  if len(worlds) < len(nodes):
    raise ValueError("some nodes hang from each other in a ring")
  return [worlds[index] for index in range(len(nodes))]


def local_matrix(node: dict) -> np.ndarray:
  """A node's own transform: its matrix, or scale, rotation and translation."""
  if "matrix" in node:
    return np.reshape(node["matrix"], [4, 4]).T.astype(np.float64)  # column by column
  matrix = np.eye(4)
  turn = Rotation.from_quat(node.get("rotation", [0, 0, 0, 1])).as_matrix()
  matrix[:3, :3] = turn * np.array(node.get("scale", [1, 1, 1]))
  matrix[:3, 3] = node.get("translation", [0, 0, 0])
  return matrix
