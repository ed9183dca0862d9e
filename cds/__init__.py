"""Clinical knowledge and evaluation of lenalidomide maintenance; knows no HTTP, clock, network or environment."""

from cds.evaluation import Evaluation, Judgement, evaluate
from cds.protocol import DEFAULT_PROTOCOL, PROTOCOL_IDS, Protocol, load_protocols

__all__ = [
    "DEFAULT_PROTOCOL",
    "PROTOCOL_IDS",
    "Evaluation",
    "Judgement",
    "Protocol",
    "evaluate",
    "load_protocols",
]
