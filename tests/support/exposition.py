"""What ``/metrics`` says, as a test asks of it."""

from __future__ import annotations

from dataclasses import dataclass

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from werkzeug.test import Client

NAMESPACE = "lenalidomide_cds"


@dataclass(frozen=True)
class Exposition:
    """The metrics of one scrape; names are given without the service's own prefix."""

    text: str

    @property
    def families(self) -> list[Metric]:
        return list(text_string_to_metric_families(self.text))

    def value(self, name: str, **labels: str) -> float:
        """The sum of all samples that have these labels, among others."""
        samples = [sample for family in self.families for sample in family.samples]
        return sum(
            sample.value
            for sample in samples
            if sample.name == f"{NAMESPACE}_{name}" and labels.items() <= sample.labels.items()
        )

    def labels(self, name: str, label: str) -> set[str]:
        """The values that a label has, of what was counted."""
        return {
            sample.labels[label]
            for family in self.families
            for sample in family.samples
            if sample.name == f"{NAMESPACE}_{name}" and sample.value
        }


def scraped(http: Client) -> Exposition:
    response = http.get("/metrics")
    assert response.status_code == 200
    return Exposition(response.get_data(as_text=True))
