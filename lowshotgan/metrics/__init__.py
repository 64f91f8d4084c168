"""Metrics that need no download, carry their protocol and keep reserved names for the reference weights."""
