"""Bake files and Dockerfiles: made from the plan as text, and read."""
