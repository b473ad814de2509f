"""Coding agents as they are shipped, run against the server without a person."""
