"""The commands: flags and one library call each.

Run as `python tools/train.py` in a checkout, or as `pface_train` once installed.
"""
