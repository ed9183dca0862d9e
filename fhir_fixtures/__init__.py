"""Synthetic patients and requests as an EHR may send them, the odd and the invalid too."""
