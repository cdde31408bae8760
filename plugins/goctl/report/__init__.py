"""Listeners: events in; a console, plain lines or JSON lines out."""
