"""ARKit's 52 names in terms of a template's."""

import numpy as np
import pytest

from personalized_face.authoring.cache import load_template
from personalized_face.core.errors import UserError
from personalized_face.data import arkit

SHIPPED = arkit.specs.load(
  "blendshapes", "arkit_52", ("source", "blendshapes", "absent")
)
OURS = tuple(sorted({name for row in SHIPPED["blendshapes"].values() for name in row}))


def test_there_are_52_and_each_is_said_once():
  assert len(arkit.ARKIT_NAMES) == len(set(arkit.ARKIT_NAMES)) == 52
  assert arkit.arkit_map(OURS).absent == ("tongueOut",)


def test_the_default_template_has_all_of_them():
  names = load_template("default").blendshape_names
  assert arkit.arkit_map(names).absent == ("tongueOut",)
  unused = set(names) - set(OURS)
  assert unused == {"cheekRaiser_L", "cheekRaiser_R", "noseDilator"}


def test_left_goes_to_left():
  mapping = arkit.arkit_map(OURS)
  for i, name in enumerate(arkit.ARKIT_NAMES):
    ours = {OURS[k] for k in np.flatnonzero(mapping.weights[i])}
    if name.endswith("Left") and name not in ("jawLeft", "mouthLeft"):
      assert ours == {name.removesuffix("Left") + "_L"}
    elif name.endswith("Right") and name not in ("jawRight", "mouthRight"):
      assert ours == {name.removesuffix("Right") + "_R"}
    elif name in OURS:
      assert ours == {name}


def test_there_and_back():
  mapping = arkit.arkit_map(OURS)
  theirs = np.random.default_rng(0).uniform(size=[4, 52])
  back = mapping.to_arkit(mapping.from_arkit(theirs))
  present = [name not in mapping.absent for name in arkit.ARKIT_NAMES]
  np.testing.assert_allclose(back[:, present], theirs[:, present], rtol=1e-12)
  assert (back[:, ~np.array(present)] == 0).all()


def test_two_of_ours_are_averaged():
  mapping = arkit.arkit_map(("cheekPuff_L", "cheekPuff_R"))
  theirs = mapping.to_arkit(np.array([1.0, 0.5]))
  assert theirs[arkit.ARKIT_NAMES.index("cheekPuff")] == 0.75
  assert "jawOpen" in mapping.absent


def test_other_spellings_and_shapes_that_are_not_split():
  names = ("EyeBlinkRight", "browInnerUp", "tongue_out", "cheekPuff", "cheekPuff_L")
  mapping = arkit.arkit_map(names)
  found = {
    name: [names[k] for k in np.flatnonzero(row)]
    for name, row in zip(arkit.ARKIT_NAMES, mapping.weights, strict=True)
    if row.any()
  }
  assert found == {
    "eyeBlinkRight": ["EyeBlinkRight"],
    "browInnerUp": ["browInnerUp"],
    "tongueOut": ["tongue_out"],
    "cheekPuff": ["cheekPuff_L"],  # the spec goes before the name
  }
  assert mapping.from_arkit(np.full([1, 52], 1.5, np.float32)).dtype == np.float32
  assert mapping.from_arkit(np.full([1, 52], 1.5)).max() == 1


@pytest.mark.parametrize(
  ("old", "new", "message"),
  [
    ("jawOpen: {jawOpen: 1}", "", "leaves out 'jawOpen'"),
    ("jawOpen: {", "jawOpn: {", "leaves out 'jawOpen'"),
    ("absent: [tongueOut]", "absent: [tongueOut, beard]", "unknown name 'beard'"),
    ("absent: [tongueOut]", "absent: [tongueOut, jawOpen]", "twice 'jawOpen'"),
    ("{jawOpen: 1}", "{jawOpen: 2}", "jawOpen: 2"),
    ("{jawOpen: 1}", "{jawOpen: much}", "jawOpen: much"),
    ("{jawOpen: 1}", "jawOpen", "jawOpen: None"),
    ("absent:", "abcent:", "lacks absent"),
  ],
)
def test_a_wrong_spec_is_refused(tmp_path, old, new, message):
  shipped = arkit.specs.folder() + "/blendshapes/arkit_52.yaml"
  with open(shipped, encoding="utf-8") as file:
    text = file.read()
  assert text.count(old) == 1
  path = tmp_path / "mine.yaml"
  path.write_text(text.replace(old, new))
  with pytest.raises(UserError, match=message):
    arkit.arkit_map(OURS, str(path))
