"""Files that somebody means harm with, and what is expected of those who read them.

`attack` mangles a sound file again and again and reads it: each time the reader gives a
valid value or a UserError that names the file, in seconds and within bounded memory.
PERSONALIZED_FACE_FUZZ=2000 tries so many per format, other ones in every run; what each
format went through is then appended to the file that PERSONALIZED_FACE_FUZZ_LOG names.
"""

import contextlib
import io
import json
import os
import pathlib
import re
import resource
import signal
import struct
import tracemalloc
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from personalized_face.core.errors import UserError

_DEEP = int(os.environ.get("PERSONALIZED_FACE_FUZZ", "0"))
_LOG = os.environ.get("PERSONALIZED_FACE_FUZZ_LOG")
_EXAMPLES = 20
_SECONDS = 10  # of processor time, for a file of some kilobytes
_MOST_SECONDS = 120  # by the clock, on a machine that others use too
_LONGEST_SENTENCE = 2000
# The files are of kilobytes; deflate's thousandfold and a picture of some megapixels
# are within it.
_MOST_MEMORY = 256 << 20
# Keeps the machine from harm where the test fails.
_ADDRESS_SPACE = 8 << 30


class Format(NamedTuple):
  """One of the file formats that are read."""

  file: str  # its name; the ending decides
  write: Callable[[str], None]  # a sound file
  read: Callable[[str], Any]
  mangle: Callable[[bytes], st.SearchStrategy]  # of the sound file's bytes
  check: Callable[[Any], None] = lambda value: None  # that a value read is valid


def attack(case: Format, folder: pathlib.Path) -> None:
  """Reads `case` sound, then mangled in many ways, in a folder of `folder`."""
  path = folder / "in" / case.file
  path.parent.mkdir()
  case.write(str(path))
  sound, tally = path.read_bytes(), Counter()
  case.check(case.read(str(path)))
  around = _listing(folder)

  @settings(
    max_examples=_DEEP or _EXAMPLES,
    derandomize=not _DEEP,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
  )
  @given(case.mangle(sound))
  def one(data: bytes) -> None:
    path.write_bytes(data)
    tally["refused" if refuses(case.read, path, case.check) else "read"] += 1

  one()
  assert _listing(folder) == around
  if _LOG:
    with open(_LOG, "a", encoding="utf-8") as file:
      file.write(f"{case.file}\t{tally['read']}\t{tally['refused']}\n")


def refuses(
  read: Callable[[str], Any],
  path: pathlib.Path,
  check: Callable[[Any], None] = lambda value: None,
) -> bool:
  """Whether reading ends in a UserError; else its value is checked.

  Fails where it ends otherwise, takes too long or too much memory.
  """
  try:
    with _limits():
      value = read(str(path))
  except UserError as error:
    sentence = str(error)
    assert sentence.endswith((".", "?")) and len(sentence) < _LONGEST_SENTENCE
    return True
  except _TooLong as error:
    raise AssertionError(
      f"it takes more than {_SECONDS} s of processor time, or {_MOST_SECONDS} s"
    ) from error
  check(value)
  return False


def finite(*arrays: np.ndarray) -> None:
  """Fails unless all numbers are."""
  for array in arrays:
    assert np.isfinite(array).all()


_STOPS = (signal.SIGPROF, signal.SIGALRM)


class _TooLong(BaseException):  # no reader's `except Exception` may take it for damage
  pass


@contextlib.contextmanager
def _limits() -> Iterator[None]:
  def stop(signum, frame):
    raise _TooLong

  before = {number: signal.signal(number, stop) for number in _STOPS}
  soft, hard = resource.getrlimit(resource.RLIMIT_AS)
  used = int(pathlib.Path("/proc/self/statm").read_text().split()[0])
  most = used * resource.getpagesize() + _ADDRESS_SPACE
  resource.setrlimit(resource.RLIMIT_AS, (most, hard))
  tracemalloc.start()
  signal.setitimer(signal.ITIMER_PROF, _SECONDS)
  signal.alarm(_MOST_SECONDS)
  try:
    yield
    peak = tracemalloc.get_traced_memory()[1]
    assert peak < _MOST_MEMORY, f"{peak >> 20} MB"
  finally:
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.alarm(0)
    tracemalloc.stop()
    for number, handler in before.items():
      signal.signal(number, handler)
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _listing(folder: pathlib.Path) -> set[str]:
  return {str(path) for path in folder.rglob("*")}


# ---- Bytes ----

_NUMBERS = (
  *(struct.pack("<i", n) for n in (0, -1, 2**31 - 1, -(2**31), 1 << 24)),
  *(struct.pack("<q", n) for n in (-1, 2**63 - 1, 1 << 40)),
  *(struct.pack(">I", n) for n in (0xFFFFFFFF, 0x7FFFFFFF, 1 << 24)),
  *(struct.pack("<f", n) for n in (np.nan, np.inf, -3e38)),
)


def mangled(data: bytes) -> st.SearchStrategy[bytes]:
  """Cut off, flipped, overwritten with extreme numbers, with inserts and repeats."""
  place = st.integers(0, max(len(data) - 1, 0))

  def flip(changes: Sequence[tuple[int, int]]) -> bytes:
    result = bytearray(data or b"\0")
    for i, value in changes:
      result[i] = value
    return bytes(result)

  byte = st.integers(0, 255)
  return st.one_of(
    place.map(lambda i: data[:i]),
    st.lists(st.tuples(place, byte), min_size=1, max_size=8).map(flip),
    st.tuples(place, st.sampled_from(_NUMBERS)).map(
      lambda c: data[: c[0]] + c[1] + data[c[0] + len(c[1]) :]
    ),
    st.tuples(place, st.binary(max_size=40)).map(
      lambda c: data[: c[0]] + c[1] + data[c[0] :]
    ),
    st.tuples(place, st.integers(1, 200), st.integers(2, 40)).map(
      lambda c: data[: c[0]] + data[c[0] : c[0] + c[1]] * c[2] + data[c[0] + c[1] :]
    ),
    st.binary(max_size=200),
  )


# ---- Texts ----

_WORDS = (
  *(b"nan", b"-inf", b"1e999", b"1e308", b"-1", b"0", b"1e-320", b"9" * 5000),
  *(b"", b"null", b"true", b"x", b"\x00", b"\xff\xfe", b"\xe2\x80\xa8"),
  *(b"../../../etc/passwd", b"/dev/zero", b"{x.__class__}", b"{clip:>999999999d}"),
  *(b"[" * 20000, b"{" * 200, b'"', b"'", b"(", b"'''", b"\n\n", b"%m", b"@f()"),
  *(b"&a [*a, *a]", b"!!python/name:os.system", b"2001-99-99", b"? [a]", b"<<: 1"),
)


def rewritten(data: bytes) -> st.SearchStrategy[bytes]:
  """A text with one or two words replaced, or mangled as bytes."""
  pieces = re.split(rb"([\s,;:=/{}\[\]\"]+)", data)
  word = st.tuples(st.integers(0, len(pieces) - 1), st.sampled_from(_WORDS))

  def replace(changes: Sequence[tuple[int, bytes]]) -> bytes:
    result = list(pieces)
    for i, new in changes:
      result[i] = new
    return b"".join(result)

  return st.one_of(st.lists(word, min_size=1, max_size=2).map(replace), mangled(data))


# ---- JSON, and glTF's container round it ----

_VALUES = (
  *(None, True, -1, 0, 1, 3, 7, 2**31, 2**32 - 1, 2**63, 10**30, 10**400),
  *(0.5, 1e308, float("nan"), float("inf"), "", "x", "../../x.bin", "\0", "SCALAR"),
  *([], {}, [0], [[]], {"x": 1}, ["../../x"] * 3, "data:,", "data:;base64,AAAA"),
)


def changed_json(document: Any) -> st.SearchStrategy[Any]:
  """The document with one or two of its values replaced or left out."""
  places = list(_places(document))
  change = st.tuples(
    st.sampled_from(places), st.sampled_from(_VALUES), st.integers(0, 7)
  )

  def apply(changes) -> Any:
    result = json.loads(json.dumps(document))
    for place, value, drop in changes:
      with contextlib.suppress(LookupError, TypeError):  # an earlier one took it away
        *above, last = place
        inner = result
        for key in above:
          inner = inner[key]
        if drop:
          inner[last] = value
        else:
          del inner[last]
    return result

  return st.lists(change, min_size=1, max_size=2).map(apply)


def _places(value: Any, place: tuple = ()) -> Iterator[tuple]:
  """The paths to everything in a document."""
  if place:
    yield place
  if isinstance(value, dict | list):
    keys = value if isinstance(value, dict) else range(min(len(value), 20))
    for key in keys:
      yield from _places(value[key], (*place, key))


def json_text(data: bytes) -> st.SearchStrategy[bytes]:
  """A JSON file with other values, or other text."""
  values = changed_json(json.loads(data)).map(lambda d: json.dumps(d).encode())
  return st.one_of(values, values, rewritten(data))


def glb_of(document: Any, binary: bytes) -> bytes:
  """A GLB file."""
  text = json.dumps(document).encode()
  chunks = struct.pack("<II", len(text), 0x4E4F534A) + text
  chunks += struct.pack("<II", len(binary), 0x004E4942) + binary
  return struct.pack("<III", 0x46546C67, 2, 12 + len(chunks)) + chunks


def glb_parts(data: bytes) -> tuple[Any, bytes]:
  """The document and the binary chunk of a sound GLB file."""
  length = struct.unpack_from("<I", data, 12)[0]
  return json.loads(data[20 : 20 + length]), data[28 + length :]


def changed_glb(data: bytes) -> st.SearchStrategy[bytes]:
  """A GLB with another document, other data, or other bytes."""
  document, binary = glb_parts(data)
  documents = changed_json(document).map(lambda d: glb_of(d, binary))
  datas = mangled(binary).map(lambda b: glb_of(document, b))
  return st.one_of(documents, documents, documents, datas, mangled(data))


# ---- npz ----

_DTYPES = ("<f8", "<f2", "<i8", "<c8", "|b1", "<U3", "|S2", "<M8[s]", "|O", "|V9", "x")
_SHAPES = ("()", "(0,)", "(1,)", "(2, 2)", "(-1,)", "(10**13,)", "(2**62, 4)", "'a'")


def npy(header: str, data: bytes = b"") -> bytes:
  """The bytes of an .npy file with any header."""
  text = header.encode() + b"\n"
  return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


def zipped(members: dict[str, bytes]) -> bytes:
  """The bytes of a zip file."""
  buffer = io.BytesIO()
  with zipfile.ZipFile(buffer, "w") as archive:
    for name, data in members.items():
      archive.writestr(name, data)
  return buffer.getvalue()


def changed_npz(data: bytes) -> st.SearchStrategy[bytes]:
  """An archive with one array of another content, type or shape, or other bytes."""
  with zipfile.ZipFile(io.BytesIO(data)) as archive:
    members = {name: archive.read(name) for name in archive.namelist()}
  arrays = {name: np.load(io.BytesIO(content)) for name, content in members.items()}

  def replaced(name: str, content: bytes) -> bytes:
    return zipped({**members, name: content})

  def written(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()

  def values(name: str) -> list[bytes]:
    array = arrays[name]
    made = [np.zeros(0), np.array(1e300), np.array({"a": 1}), np.array(["../x"] * 3)]
    if array.dtype.kind in "fiu":
      made += [np.full_like(array, v) for v in (-1, 0, 100)]
      made += [np.full(array.shape, v) for v in (np.nan, np.inf, 1e300, -0.5)]
      made += [array.astype(np.complex64), array[..., np.newaxis], array.ravel()[:1]]
    if array.ndim:
      made += [array[:-1], array[::-1], np.concatenate([array, array])]
    return [replaced(name, written(value)) for value in made]

  def headers(name: str) -> list[bytes]:
    array = arrays[name]
    kinds = [(dtype, str(array.shape)) for dtype in _DTYPES]
    kinds += [(array.dtype.str, shape) for shape in _SHAPES]
    form = "{{'descr': '{}', 'fortran_order': False, 'shape': {}}}"
    return [replaced(name, npy(form.format(*k), array.tobytes())) for k in kinds]

  names = st.sampled_from(list(members))
  return st.one_of(
    names.flatmap(lambda name: st.sampled_from(values(name))),
    names.flatmap(lambda name: st.sampled_from(headers(name))),
    names.flatmap(lambda n: mangled(members[n]).map(lambda b: replaced(n, b))),
    names.map(lambda n: zipped({k: v for k, v in members.items() if k != n})),
    st.sampled_from(["../evil.npy", "pickle", "/x.npy"]).map(
      lambda name: replaced(name, b"cos\nsystem\n(S'true'\ntR.")
    ),
    mangled(data),
  )
