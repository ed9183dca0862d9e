"""Mixed traffic on a running service, while what it depends on fails."""
