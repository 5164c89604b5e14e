"""Finds the headers and the library of the TensorFlow installed for Python.

An op's binary belongs to one TensorFlow: it is compiled with that one's headers and
macros, and finds its library already loaded when Python loads the op.
"""

_PYTHON = "PYTHON_BIN_PATH"

_ASK = """
import tensorflow as tf
print(tf.sysconfig.get_include())
print(tf.sysconfig.get_lib())
print(" ".join(tf.sysconfig.get_compile_flags()))
"""

_BUILD = """
package(default_visibility = ["//visibility:public"])

cc_library(
    name = "tensorflow",
    srcs = ["{library}"],
    hdrs = glob(["include/**"]),
    defines = {defines},
    includes = ["include"],
)
"""

def _python(ctx):
    """Returns the interpreter to ask: $PYTHON_BIN_PATH, or else the checkout's .venv."""
    if ctx.os.environ.get(_PYTHON):
        return ctx.os.environ[_PYTHON]
    root = ctx.path(Label("//:WORKSPACE")).dirname
    return str(root.get_child(".venv").get_child("bin").get_child("python"))

def _tf_configure_impl(ctx):
    python = _python(ctx)
    answer = ctx.execute([python, "-c", _ASK], quiet = True)
    if answer.return_code:
        fail("{} cannot import TensorFlow; run `make test` first, or set {}.\n{}".format(
            python,
            _PYTHON,
            answer.stderr,
        ))

    # Whatever Python printed while it started stands before the three lines.
    include, lib, flags = answer.stdout.strip().split("\n")[-3:]
    library = "libtensorflow_framework.so.2"
    ctx.symlink(include, "include")
    ctx.symlink(lib + "/" + library, library)
    defines = [flag[2:] for flag in flags.split(" ") if flag.startswith("-D")]
    ctx.file("BUILD", _BUILD.format(library = library, defines = repr(defines)))

tf_configure = repository_rule(
    implementation = _tf_configure_impl,
    doc = "Makes @NAME//:tensorflow, a cc_library for custom ops.",
    environ = [_PYTHON],
    local = True,
)
