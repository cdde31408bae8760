"""Extensions of goctl: the engine `prebuilt` and the destination `dir`."""

__version__ = "0.1.0"
