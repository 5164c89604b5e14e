"""The names that Bazel's own files load from rules_cc, as rules built into Bazel.

Bazel up to 6 has these rules built in, and yet downloads rules_cc because its own BUILD
files load them from there. With this folder as --override_repository it need not.
"""

cc_binary = native.cc_binary
cc_import = native.cc_import
cc_library = native.cc_library
cc_proto_library = native.cc_proto_library
cc_test = native.cc_test
cc_toolchain = native.cc_toolchain
cc_toolchain_suite = native.cc_toolchain_suite
objc_library = native.objc_library
