"""The CDS Hooks service around ``cds``."""

from hooks.answering import answer

__all__ = ["answer"]
