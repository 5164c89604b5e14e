"""`python -m personalized_face`: the front door of the commands, as `pface`."""

from personalized_face.tools._front_door import run

if __name__ == "__main__":
  run()
