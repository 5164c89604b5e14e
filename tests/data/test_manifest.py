"""The table of what became of each input."""

from personalized_face.data import manifest

ROWS = [
  manifest.ManifestRow(
    "a, b", "ann", "a, b.mp4", "ok", read=9, no_face=2, train=6, test=1
  ),
  manifest.ManifestRow("x", "x", "\nx.mp4", "unreadable", 'It is "no".', seconds=0.25),
  manifest.ManifestRow("c", "ann", "c.mp4", "ok", read=5, no_face=1, train=4),
]


def test_rows_are_read_as_they_were_written(tmp_path):
  path = str(tmp_path / "manifest.csv")
  manifest.write_manifest(path, ROWS)
  assert manifest.read_manifest(path) == ROWS


def test_gate_counts_are_sums_over_the_inputs():
  counts = manifest.gate_counts(ROWS)
  assert (counts["read"], counts["no_face"]) == (14, 3)
  assert (counts["train"], counts["test"]) == (10, 1)
