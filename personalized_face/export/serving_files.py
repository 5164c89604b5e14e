"""What makes TensorFlow Serving run an export: two configuration files and a command.

    <output_dir>/serving/models.config              which models, which versions
                         batching_parameters.txt    requests gathered into one batch
                         docker_run.sh              gRPC on 8500, REST on 8501

The folder's name is no integer, so a server that watches <output_dir> for versions
leaves it alone. Formats: TensorFlow Serving, model_server_config.proto and
session_bundle_config.proto. No model server was at hand to try them with.
"""

import os
import re

from personalized_face.export.files import write_text

FOLDER = "serving"
_MODELS = """# The two newest versions are served, so a client can change over.
model_config_list {{
  config {{
    name: "{name}"
    base_path: "/models/{name}"
    model_platform: "tensorflow"
    model_version_policy {{ latest {{ num_versions: 2 }} }}
  }}
}}
"""
# One request of the paper's size is 4 pictures; 16 fill two CPU cores.
_BATCHING = """max_batch_size { value: 16 }
batch_timeout_micros { value: 2000 }
max_enqueued_batches { value: 64 }
num_batch_threads { value: 2 }
pad_variable_length_inputs: false
"""
_DOCKER = """#!/bin/sh
# Serves the models beside this folder: gRPC on port 8500, REST on port 8501.
# Try it: curl http://localhost:8501/v1/models/{name}/metadata
set -eu
models=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
exec docker run --rm -p 8500:8500 -p 8501:8501 \\
  --mount "type=bind,source=$models,target=/models/{name},readonly" \\
  tensorflow/serving:2.19.1 \\
  --model_config_file=/models/{name}/serving/models.config \\
  --enable_batching \\
  --batching_parameters_file=/models/{name}/serving/batching_parameters.txt
"""


def model_name(output_dir: str) -> str:
  """The name that a model's folder is served under: letters, digits, underscores."""
  name = os.path.basename(os.path.abspath(output_dir))
  return re.sub(r"\W+", "_", name).strip("_") or "personalized_face"


def write_serving_files(output_dir: str) -> None:
  """Writes the three files above into <output_dir>/serving."""
  folder, name = os.path.join(output_dir, FOLDER), model_name(output_dir)
  write_text(os.path.join(folder, "models.config"), _MODELS.format(name=name))
  write_text(os.path.join(folder, "batching_parameters.txt"), _BATCHING)
  script = os.path.join(folder, "docker_run.sh")
  write_text(script, _DOCKER.format(name=name))
  os.chmod(script, 0o755)
