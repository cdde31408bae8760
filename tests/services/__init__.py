"""Services that tests start for themselves, on loopback."""
