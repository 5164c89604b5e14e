"""Tracks face crops with a model server, over REST or gRPC.

  python examples/serving_client.py --url=http://localhost:8501 crop1.jpg crop2.jpg
  python examples/serving_client.py --grpc=localhost:8500 crop1.jpg crop2.jpg

Start the server with serving/docker_run.sh of an export. REST needs Python alone; gRPC
needs `pip install tensorflow-serving-api`. Prints a line a picture: the strongest
blendshapes and the head's angles.
"""

import argparse
import base64
import json
import pathlib
import urllib.request

SIGNATURE = "track_bytes"


def predict_rest(url: str, model: str, pictures: list[bytes]) -> dict[str, list]:
  """The signature's outputs by name, over REST."""
  # A name that ends in _bytes holds base64; "inputs" is the columnar format.
  encoded = [{"b64": base64.b64encode(picture).decode()} for picture in pictures]
  body = {"signature_name": SIGNATURE, "inputs": {"image_bytes": encoded}}
  request = urllib.request.Request(
    f"{url}/v1/models/{model}:predict",
    json.dumps(body).encode(),
    {"Content-Type": "application/json"},
  )
  with urllib.request.urlopen(request, timeout=60) as answer:
    return json.load(answer)["outputs"]


def predict_grpc(address: str, model: str, pictures: list[bytes]) -> dict[str, list]:
  """The same over gRPC."""
  import grpc
  import tensorflow as tf
  from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

  request = predict_pb2.PredictRequest()
  request.model_spec.name = model
  request.model_spec.signature_name = SIGNATURE
  request.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto(pictures))
  with grpc.insecure_channel(address) as channel:
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    answer = stub.Predict(request, timeout=60)
  return {name: tf.make_ndarray(value) for name, value in answer.outputs.items()}


def main() -> None:
  """Parses the arguments, asks the server and prints."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--url", help="of the REST server")
  parser.add_argument("--grpc", help="host:port of the gRPC server")
  parser.add_argument("--model", default="personalized_face")
  parser.add_argument("--meta", help="assets.extra/meta.json of the export, for names")
  parser.add_argument("pictures", nargs="+", help="square face crops, JPEG or PNG")
  arguments = parser.parse_args()
  if bool(arguments.url) == bool(arguments.grpc):
    parser.error("give either --url or --grpc")
  pictures = [pathlib.Path(path).read_bytes() for path in arguments.pictures]
  if arguments.url:
    outputs = predict_rest(arguments.url, arguments.model, pictures)
  else:
    outputs = predict_grpc(arguments.grpc, arguments.model, pictures)
  names = None
  if arguments.meta:
    meta = json.loads(pathlib.Path(arguments.meta).read_text(encoding="utf-8"))
    names = meta["blendshape_names"]
  for path, weights, angles in zip(
    arguments.pictures, outputs["expression"], outputs["rotation"], strict=True
  ):
    strongest = sorted(range(len(weights)), key=lambda i: -weights[i])[:5]
    shapes = ", ".join(
      f"{names[i] if names else i} {weights[i]:.2f}" for i in strongest
    )
    pitch, yaw, roll = (float(angle) for angle in angles)
    print(f"{path}: {shapes}; pitch {pitch:.2f}, yaw {yaw:.2f}, roll {roll:.2f} rad")


if __name__ == "__main__":
  main()
