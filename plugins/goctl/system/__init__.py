"""The only doors out of the process: child processes, files, http."""
