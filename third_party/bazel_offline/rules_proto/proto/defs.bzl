"""The names that Bazel's own files load from rules_proto; see rules_cc beside it."""

proto_lang_toolchain = native.proto_lang_toolchain
proto_library = native.proto_library
