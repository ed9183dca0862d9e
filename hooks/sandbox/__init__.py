"""The sandbox page: a record system to try the service with; never for patients."""
