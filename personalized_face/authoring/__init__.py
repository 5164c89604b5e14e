"""Builds face templates: the default one, from measured points and anatomy."""
