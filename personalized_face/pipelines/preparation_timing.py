"""How fast videos become records, and in how much memory: pface_prepare_data, measured.

    clips, copied so many times -> one run for each number of workers -> rates, stages
    a clip, looped to so many minutes -> one run for each length -------> peak memory

Each run is a process of its own, whose report is read: the largest memory is that of a
process's whole life, and so are the costs of starting one.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence

import imageio_ffmpeg

from personalized_face.core.errors import UserError
from personalized_face.data.gates import GATES
from personalized_face.data.video import VIDEO_EXTENSIONS

_SOME_FAILED = 3  # exit status of pface_prepare_data: records, but not of every input


def measure_speed(
  inputs: Sequence[str],
  workers: Sequence[int] = (1,),
  copies: int = 1,
  gin_params: Sequence[str] = (),
) -> list[dict]:
  """Prepares clips once with each number of workers.

  Args:
    inputs: videos, or folders with videos in them.
    workers: processes.
    copies: of each clip, so that the start of the processes weighs as little as it
      does in a corpus.
    gin_params: for `pface_prepare_data`.

  Returns:
    The reports (data/report.py), each with "workers".

  Raises:
    UserError: no videos there, or a run failed.
  """
  paths = _videos(inputs)
  with tempfile.TemporaryDirectory() as folder:
    clips = os.path.join(folder, "clips")
    os.mkdir(clips)
    for copy in range(copies):
      for path in paths:
        shutil.copy(path, os.path.join(clips, f"{copy}_{os.path.basename(path)}"))
    return [
      {"workers": count, **_report(clips, folder, f"--num_workers={count}", gin_params)}
      for count in workers
    ]


def measure_memory(
  inputs: Sequence[str], minutes: Sequence[float], gin_params: Sequence[str] = ()
) -> list[dict]:
  """Prepares a clip looped to each length.

  Args:
    inputs: one video.
    minutes: lengths.
    gin_params: for `pface_prepare_data`.

  Returns:
    The reports, each with "minutes".

  Raises:
    UserError: several videos, one that cannot be looped, or a run failed.
  """
  clip, *others = _videos(inputs)
  if others:
    raise UserError(f"One video is looped, not {1 + len(others)}; give one --input.")
  reports = []
  for length in minutes:
    with tempfile.TemporaryDirectory() as folder:
      looped = os.path.join(folder, "looped.mp4")
      loop_clip(clip, looped, 60 * length)
      report = _report(looped, folder, "--num_workers=0", gin_params)
    reports.append({"minutes": length, **report})
  return reports


def loop_clip(clip: str, path: str, seconds: float) -> None:
  """Writes a video that shows a clip again and again, its pictures as they are.

  Raises:
    UserError: ffmpeg does not take the clip.
  """
  command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error"]
  command += ["-stream_loop", "-1", "-i", clip, "-t", str(seconds)]
  ended = subprocess.run([*command, "-c", "copy", "-an", path], capture_output=True)
  if ended.returncode:
    text = ended.stderr.decode(errors="replace").strip() or "no message"
    raise UserError(f"{clip} cannot be looped ({text}); give a video that plays.")


def _videos(inputs: Sequence[str]) -> list[str]:
  paths = []
  for path in inputs:
    names = sorted(os.listdir(path)) if os.path.isdir(path) else [""]
    paths += [os.path.join(path, name) if name else path for name in names]
  paths = [path for path in paths if path.lower().endswith(VIDEO_EXTENSIONS)]
  missing = [path for path in paths if not os.path.isfile(path)]
  if missing or not paths:
    what = missing[0] if missing else ", ".join(inputs)
    raise UserError(f"There is no video {what}; give videos or a folder of them.")
  return paths


def _report(source: str, folder: str, flag: str, gin_params: Sequence[str]) -> dict:
  """Runs pface_prepare_data in a process and returns its report."""
  path = os.path.join(folder, "report.json")
  with tempfile.TemporaryDirectory(dir=folder) as records:
    command = [sys.executable, "-m", "personalized_face", "prepare_data"]
    command += [f"--input={source}", f"--output_dir={records}", f"--report={path}"]
    command += [flag, *(f"--gin_param={value}" for value in gin_params)]
    ended = subprocess.run(command, stdout=subprocess.DEVNULL)
  if ended.returncode not in (0, _SOME_FAILED):
    raise UserError(
      f"pface_prepare_data ended with {ended.returncode} on {source}; what it said "
      "stands above."
    )
  with open(path, encoding="utf-8") as file:
    return json.load(file)


def speed_tables(reports: Sequence[dict]) -> str:
  """Markdown: what became of the frames, how fast, and where the time goes."""
  first = reports[0]
  gates = [gate for gate in GATES if first["gates"][gate]]
  lines = ["clip", "source frames", "taken", *gates, "kept", "per CPU second"]
  tables = [_head(lines)]
  for clip in first["clips"]:
    cpu = clip["cpu_seconds"]
    cells = [clip["clip"], clip["source_frames"], clip["read"]]
    cells += [*(clip[gate] for gate in gates), clip["train"] + clip["test"]]
    tables[0].append(
      _row([*cells, f"{clip['source_frames'] / cpu:.0f}" if cpu else ""])
    )
  columns = ["workers", "seconds", "CPU seconds", "source frames per second"]
  columns += ["per CPU second", "times the first", "MiB", "MiB of the largest worker"]
  tables.append(_head(columns))
  for report in reports:
    run, memory = report["run"], report["peak_memory_mib"]
    cells = [report["workers"], f"{run['seconds']:.1f}", f"{run['cpu_seconds']:.1f}"]
    cells += [f"{run['source_frames'] / run['seconds']:.1f}"]
    cells += [run["source_frames_per_cpu_second"]]
    cells += [f"{first['run']['seconds'] / run['seconds']:.2f}"]
    tables[1].append(_row([*cells, memory["process"], memory["largest_worker"]]))
  tables.append(_head(["stage", "CPU seconds", "share %", "ms per source frame"]))
  for name, seconds in _stages(first["run"]).items():
    share = 100 * seconds / first["run"]["cpu_seconds"]
    each = 1000 * seconds / first["run"]["source_frames"]
    tables[2].append(_row([name, f"{seconds:.1f}", f"{share:.1f}", f"{each:.2f}"]))
  return "\n\n".join("\n".join(table) for table in tables)


def memory_table(reports: Sequence[dict]) -> str:
  """Markdown: peak memory by length."""
  table = _head(["minutes", "source frames", "kept", "seconds", "MiB", "of the first"])
  first = reports[0]["peak_memory_mib"]["process"]
  for report in reports:
    run, peak = report["run"], report["peak_memory_mib"]["process"]
    kept = sum(split["frames"] for split in report["splits"].values())
    cells = [report["minutes"], run["source_frames"], kept, run["seconds"], peak]
    table.append(_row([*cells, f"{peak / first:.3f}"]))
  return "\n".join(table)


def _stages(run: dict) -> dict[str, float]:
  """CPU seconds by stage, and what lies between the stages."""
  stages = dict(run["cpu_seconds_by_stage"])
  return {**stages, "other": max(run["cpu_seconds"] - sum(stages.values()), 0.0)}


def _head(columns: Sequence[str]) -> list[str]:
  return [_row(columns), _row(["---"] * len(columns))]


def _row(cells: Sequence[object]) -> str:
  return f"| {' | '.join(str(cell) for cell in cells)} |"
