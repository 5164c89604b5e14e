"""What `make readme` makes of a page, and that it can place all that is in ours."""

import re
import shutil
import sys

import pytest
from readme import run_readme
from repository.commands import ROOT

PAGE = """
# A page

```bash
echo one > first.txt
# a comment
cat first.txt \\
    second.txt
pface_train --records_dir=records --run_dir=run --gin_file=a.gin
```

In a sentence: `pface_prepare_data --input=videos/ --output_dir=records` is complete,
`pface_prepare_data --input=videos/` and `pface_personalize` are not, `pface_track
--run_dir=run --source=0` wants a camera.

```python
import pathlib

print(pathlib.Path("first.txt").read_text())
```

```bibtex
@book{not, title = {a command}}
```
"""


def test_pieces_are_found_in_their_order():
  steps = run_readme.plan(PAGE)
  assert [step.text.split()[0] for step in steps] == [
    *("echo", "cat", "pface_train", "pface_prepare_data", "pface_prepare_data"),
    *("pface_track", "import"),
  ]
  assert steps[1].text == "cat first.txt second.txt"
  skipped = [step.skipped for step in steps]
  assert skipped[:4] == [""] * 4 and skipped[6] == ""
  assert "only part of a command" in skipped[4]
  assert skipped[5] == "needs a camera"


def test_what_is_run_smaller_says_so():
  step = run_readme.plan(PAGE)[2]
  assert "stage1/Stage.steps = 2" in step.text
  assert "takes a large GPU for a day" in step.smaller


def test_a_page_is_run_from_top_to_bottom(tmp_path, monkeypatch):
  scratch = run_readme.Scratch(tmp_path / "run", sys.executable)
  steps = run_readme.plan(PAGE, only=r"^(echo|cat|import)")
  results = [scratch.run(i, step, 60) for i, step in enumerate(steps)]
  # There is no second.txt.
  assert [r.status for r in results if r.status != "skipped"] == [
    *("ran", "failed", "ran")
  ]
  assert "second.txt" in results[1].note
  assert "not asked for" in results[2].note
  assert (tmp_path / "run" / "logs" / "06.txt").read_text().strip().endswith("one")
  shown = run_readme.table(results)
  assert shown.count("\n") == len(steps) + 2 and "| failed |" in shown


def test_a_command_without_an_end_is_ended(tmp_path):
  scratch = run_readme.Scratch(tmp_path / "run", sys.executable)
  step = run_readme.plan("```bash\nsleep 60\n```\n")[0]
  result = scratch.run(1, step, 0.2)
  assert result.status == "failed" and "no end after" in result.note


def test_stand_ins_are_made_where_nobody_wrote_them(tmp_path, monkeypatch):
  scratch = run_readme.Scratch(tmp_path / "run", sys.executable)
  monkeypatch.setattr(
    scratch, "_clip", lambda path: shutil.copy(__file__, _made(path.parent) / path.name)
  )
  bring = scratch._bring
  assert bring("pface_x --input=videos/ --output_dir=out clip.mp4") == [
    *("clip.mp4", "videos/")
  ]
  assert bring("pface_x clip.mp4") == []  # there by now
  assert bring('face.save("sheet.png"); f("photo.jpg")') == ["photo.jpg"]
  assert bring("pface_x --overlay=out.mp4 --other=/elsewhere/clip.mp4") == []


def _made(folder):
  folder.mkdir(parents=True, exist_ok=True)
  return folder


@pytest.mark.parametrize(
  "page", ["README.md", "gin/papers/personalized_face/README.md"]
)
def test_every_command_of_a_page_is_placed(page):
  steps = run_readme.plan((ROOT / page).read_text(encoding="utf-8"))
  assert len(steps) >= 5
  for step in steps:
    # Run, or skipped for a reason; of no other program nobody has said which.
    known = r"(\w+=\S+ )*(pface_\w+|make|python|apt-get|pip|git|import|from)\b"
    assert step.skipped or re.match(known, step.text), step.text
  assert sum(not step.skipped for step in steps) >= 5
