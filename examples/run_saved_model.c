/* Runs one signature of an exported model from C, with no Python.
 *
 * The TensorFlow C API lies inside the pip package:
 *
 *   TF=$(python -c 'import tensorflow as tf; print(tf.sysconfig.get_lib())')
 *   cc examples/run_saved_model.c -I"$TF/include" -L"$TF" -Wl,-rpath,"$TF" \
 *     -l:libtensorflow_cc.so.2 -l:libtensorflow_framework.so.2 -o run_saved_model
 *   ./run_saved_model MODEL_DIR INPUT IN.f32 2,224,224,3 OUTPUT OUT.f32 [OUTPUT OUT.f32]...
 *
 * INPUT and OUTPUT are graph tensors as `saved_model_cli show` names them, such as
 * track_images:0; the files hold raw little-endian float32. Prints each output's shape.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tensorflow/c/c_api.h"

#define MAX_DIMS 8
#define MAX_OUTPUTS 16

static void fail(const char* what, const char* why) {
  fprintf(stderr, "%s: %s\n", what, why);
  exit(1);
}

static void check(const TF_Status* status, const char* what) {
  if (TF_GetCode(status) != TF_OK) fail(what, TF_Message(status));
}

/* "name:2" as output 2 of the operation "name". */
static TF_Output find_tensor(TF_Graph* graph, const char* tensor) {
  char name[512];
  snprintf(name, sizeof name, "%s", tensor);
  char* colon = strrchr(name, ':');
  int index = colon ? atoi(colon + 1) : 0;
  if (colon) *colon = '\0';
  TF_Output output = {TF_GraphOperationByName(graph, name), index};
  if (!output.oper) fail(tensor, "there is no such tensor in the graph");
  return output;
}

/* Reads a whole file of float32 into a tensor of the given shape ("2,224,224,3"). */
static TF_Tensor* read_tensor(const char* path, const char* shape) {
  int64_t dims[MAX_DIMS];
  int num_dims = 0;
  size_t bytes = sizeof(float);
  for (const char* at = shape; at && num_dims < MAX_DIMS; at = strchr(at, ',')) {
    if (*at == ',') ++at;
    dims[num_dims] = atoll(at);
    if (dims[num_dims] <= 0) fail(shape, "is not a shape");
    bytes *= (size_t)dims[num_dims++];
  }
  TF_Tensor* tensor = TF_AllocateTensor(TF_FLOAT, dims, num_dims, bytes);
  FILE* file = fopen(path, "rb");
  if (!file) fail(path, "cannot be opened");
  if (fread(TF_TensorData(tensor), 1, bytes, file) != bytes || fgetc(file) != EOF)
    fail(path, "does not have the size of its shape");
  fclose(file);
  return tensor;
}

static void write_tensor(const char* path, const TF_Tensor* tensor) {
  FILE* file = fopen(path, "wb");
  if (!file) fail(path, "cannot be written");
  const size_t bytes = TF_TensorByteSize(tensor);
  if (fwrite(TF_TensorData(tensor), 1, bytes, file) != bytes || fclose(file))
    fail(path, "cannot be written");
}

int main(int argc, char** argv) {
  const int num_outputs = (argc - 5) / 2;
  if (argc < 7 || argc % 2 == 0 || num_outputs > MAX_OUTPUTS)
    fail(argv[0], "MODEL_DIR INPUT IN.f32 SHAPE OUTPUT OUT.f32 [OUTPUT OUT.f32]...");
  TF_Status* status = TF_NewStatus();
  TF_Graph* graph = TF_NewGraph();
  TF_SessionOptions* options = TF_NewSessionOptions();
  const char* tags[] = {"serve"};
  TF_Session* session = TF_LoadSessionFromSavedModel(options, NULL, argv[1], tags, 1,
                                                     graph, NULL, status);
  check(status, argv[1]);

  TF_Output input = find_tensor(graph, argv[2]);
  TF_Tensor* given = read_tensor(argv[3], argv[4]);
  TF_Output outputs[MAX_OUTPUTS];
  TF_Tensor* results[MAX_OUTPUTS] = {NULL};
  for (int i = 0; i < num_outputs; ++i)
    outputs[i] = find_tensor(graph, argv[5 + 2 * i]);
  TF_SessionRun(session, NULL, &input, &given, 1, outputs, results, num_outputs, NULL, 0,
                NULL, status);
  check(status, "running the model");

  for (int i = 0; i < num_outputs; ++i) {
    write_tensor(argv[6 + 2 * i], results[i]);
    printf("%s", argv[5 + 2 * i]);
    for (int d = 0; d < TF_NumDims(results[i]); ++d)
      printf("%c%lld", d ? ',' : ' ', (long long)TF_Dim(results[i], d));
    printf("\n");
    TF_DeleteTensor(results[i]);
  }
  TF_DeleteTensor(given);
  TF_CloseSession(session, status);
  TF_DeleteSession(session, status);
  TF_DeleteSessionOptions(options);
  TF_DeleteGraph(graph);
  TF_DeleteStatus(status);
  return 0;
}
