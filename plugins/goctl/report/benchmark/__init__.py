"""A night of the benchmark as a table on a console, Markdown, one page of HTML, and figures for Prometheus."""
