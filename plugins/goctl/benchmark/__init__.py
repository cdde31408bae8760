"""Releases measured in declared states of a machine, night after night, and compared with what they took before.

States as data (`states`), a machine for each (`machine`, `program`), interleaved rounds (`rounds`), one measured release
(`measure`), statistics, the gate, and storage. `python -m goctl.benchmark` is what nox sessions run.
"""
