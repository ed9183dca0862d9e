"""Protocols: one source document's numbers each, with inheritance. The loader refuses what it does not know."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from functools import cache, cached_property
from importlib.resources import files
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from cds import protocol_areas as areas
from cds.parameters import Choice, Listed, Parameter, Strict, Threshold
from cds.strict_yaml import KnowledgeError, load

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

DEFAULT_PROTOCOL = "fda-label"
PROTOCOL_IDS = ("fda-label", "ema-smpc", "review-2020", "mskcc", "revallo", "weill-cornell")
_COMMON = "common"
_SHARED_CASES = ("cases-all.yaml", "cases-us-family.yaml", "cases-eu-family.yaml")
_DIGEST_LENGTH = 12
_AREAS = (
    "dosing",
    "renal",
    "heme",
    "freshness",
    "liver",
    "reactions",
    "supply",
    "reproduction",
    "pregnancy",
    "contraception",
    "vte",
    "interaction",
    "eligibility",
)
_PARTS_OF_ESCALATION = {
    "escalation_from": areas.SINGLE_STEP,
    "escalation_to": areas.SINGLE_STEP,
    "escalation_cycles": areas.SINGLE_STEP,
    "escalation_months": areas.STEPWISE,
}
_COUNTED_FROM = {
    "contraception.lead": "at_least",
    "pregnancy.first_test_from": "at_least",
    "pregnancy.first_test_until": "at_most",
    "pregnancy.second_test": "at_most",
    "pregnancy.single_first_test": "at_most",
    "pregnancy.per_prescription": "at_most",
    "reproduction.menopause_months": "at_least",
}
_OPTIONAL_PART = re.compile(r"\[([^\[\]]*)\]")
_PLACEHOLDER = re.compile(r"\{([a-z0-9_]+\.[a-z0-9_]+)(\.amount)?\}")


class Source(Strict):
    """A source document: its title, the short name a card prints, and how far it was read for the protocol."""

    title: str
    short: str
    checked: str
    url: str | None = None


class Review(Strict):
    """Who wrote and checked a protocol file, and when it is due again."""

    author: str
    checked_by: str
    date: str
    next_review: str
    changes: tuple[str, ...] = Field(min_length=1)


class Protocol(Strict):
    """All resolved parameters of one protocol."""

    id: str
    title: str
    version: str
    revision: int
    fallback: str | None = None
    sources: tuple[str, ...] = Field(min_length=1)
    setting: str
    programme: str
    trials: tuple[str, ...] = ()
    review: Review
    documents: Mapping[str, Source]
    dosing: areas.Dosing
    renal: areas.Renal
    heme: areas.Heme
    freshness: areas.Freshness
    liver: areas.Liver
    reactions: areas.Reactions
    supply: areas.Supply
    reproduction: areas.Reproduction
    pregnancy: areas.Pregnancy
    contraception: areas.Contraception
    vte: areas.Thrombosis
    interaction: areas.Interaction
    eligibility: areas.Eligibility

    def __hash__(self) -> int:
        """Quick enough to ask for what is kept of a protocol; equal protocols share their id."""
        return hash(self.id)

    @property
    def full_version(self) -> str:
        """The source's version and our revision: ``2023-03-24+1``."""
        return f"{self.version}+{self.revision}"

    @cached_property
    def digest(self) -> str:
        """Fingerprint of all resolved numbers with their units and citations: what a signature under this version covers."""
        signed = [
            (path, parameter.in_words, parameter.citations, getattr(parameter, "unit", ""))
            for path, parameter in self.parameters()
        ]
        return hashlib.sha256(repr(signed).encode()).hexdigest()[:_DIGEST_LENGTH]

    @property
    def document(self) -> Source:
        """The protocol's leading source document."""
        return self.documents[self.sources[0]]

    def parameter(self, path: str) -> Parameter | None:
        """A parameter by ``area.name``; None when this protocol has no such rule."""
        area, name = path.split(".")
        value = getattr(getattr(self, area), name)
        assert value is None or isinstance(value, Parameter)
        return value

    def parameters(self) -> Iterator[tuple[str, Parameter]]:
        """All parameters with their paths, in the order of the areas."""
        for area in _AREAS:
            section = getattr(self, area)
            for name in type(section).model_fields:
                value = getattr(section, name)
                if value is not None:
                    yield f"{area}.{name}", value

    def fill(self, text: str) -> str:
        """Put parameters into ``{area.name}`` placeholders, or only their amount into ``{area.name.amount}``.

        A part in square brackets is left out where the protocol does not have all parameters in it.
        """
        whole = _OPTIONAL_PART.sub(lambda match: match[1] if self._has_all(match[1]) else "", text)
        return _PLACEHOLDER.sub(lambda match: self._in_words(match[1], only_amount=bool(match[2])), whole)

    def _has_all(self, text: str) -> bool:
        return all(self.parameter(match[1]) is not None for match in _PLACEHOLDER.finditer(text))

    def _in_words(self, path: str, *, only_amount: bool) -> str:
        parameter = self.parameter(path)
        if parameter is None:
            msg = f"{self.id} has no {path}: put the part of the sentence that names it in square brackets"
            raise KeyError(msg)
        return parameter.amount if only_amount and isinstance(parameter, Threshold) else parameter.in_words


@cache
def load_protocols() -> Mapping[str, Protocol]:
    """Read ``protocols/``; ``KnowledgeError`` lists all that is wrong, with file and path."""
    return read_protocols(files("cds") / "protocols")


def read_protocols(folder: Traversable) -> dict[str, Protocol]:
    """The protocols of a folder laid out as ``common.yaml`` and ``<id>/protocol.yaml``."""
    problems = [f"protocols/{name}: is not a file this version knows" for name in _stray_files(folder)]
    raw = {name: load(folder / name / "protocol.yaml", problems) for name in PROTOCOL_IDS}
    raw[_COMMON] = load(folder / "common.yaml", problems)
    problems += [f"protocols/{name}: {what}" for name, file in raw.items() for what in _file_problems(name, file, raw)]
    protocols = {}
    if not problems:
        for name in PROTOCOL_IDS:
            try:
                protocols[name] = Protocol.model_validate(_resolve(name, raw))
            except ValidationError as error:
                problems += [
                    f"protocols/{name}: {'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()
                ]
    problems += [
        f"protocols/{name}: {what}" for name, protocol in protocols.items() for what in _contradictions(protocol)
    ]
    if problems:
        raise KnowledgeError(sorted(set(problems)))
    return protocols


def _stray_files(folder: Traversable) -> list[str]:
    known = {"common.yaml", *_SHARED_CASES, "__init__.py", "__pycache__", *PROTOCOL_IDS}
    stray = [item.name for item in folder.iterdir() if item.name not in known]
    for name in PROTOCOL_IDS:
        if (folder / name).is_dir():
            allowed = {"protocol.yaml", "cases.yaml"}
            stray += [f"{name}/{item.name}" for item in (folder / name).iterdir() if item.name not in allowed]
    return sorted(stray)


def _file_problems(name: str, file: Mapping[str, Any], raw: Mapping[str, Any]) -> list[str]:
    """What can be said of one file before it is merged with the others: a mistake is named where it stands."""
    listed = raw[_COMMON].get("sources", {})
    known = {"sources", *_AREAS} if name == _COMMON else set(Protocol.model_fields) - {"documents"}
    problems = [f"{key}: is not a key of this file" for key in file if key not in known]
    if name != _COMMON:
        problems += [
            f"sources: '{own}' is not listed in common.yaml" for own in file.get("sources", []) if own not in listed
        ]
        if file.get("id") != name:
            problems.append(f"id: is '{file.get('id')}', expected the folder's name")
    fallback = file.get("fallback")
    if fallback is not None and (fallback not in PROTOCOL_IDS or "fallback" in raw.get(fallback, {})):
        problems.append(f"fallback: '{fallback}' is not a protocol that stands by itself")
    for area in _AREAS:
        section = file.get(area, {})
        if not isinstance(section, dict):
            problems.append(f"{area}: expected a mapping of parameters")
            continue
        for parameter, entry in section.items():
            problems += [f"{area}.{parameter}{what}" for what in _entry_problems(area, parameter, entry, listed)]
    return problems


def _entry_problems(area: str, parameter: str, entry: object, listed: Mapping[str, Any]) -> list[str]:
    section = Protocol.model_fields[area].annotation
    assert section is not None
    kind = section.model_fields.get(parameter)
    if kind is None:
        return [": is not a parameter of this version"]
    if not isinstance(entry, dict):
        return [": expected a mapping with the value, its unit and its source"]
    try:
        # The field itself carries what its type does not: the unit it must have.
        with_its_unit: Any = Annotated[kind.annotation, kind]
        TypeAdapter(with_its_unit).validate_python(entry)
    except ValidationError as error:
        return ["".join(f".{step}" for step in item["loc"]) + f": {item['msg']}" for item in error.errors()]
    set_by_loader = {"origin", "inherited_from"} & set(entry)
    cites = entry.get("cite", [])
    return [
        *(f": '{key}' is not a key of a parameter" for key in sorted(set_by_loader)),
        *(
            f": cites '{cite}', a source that common.yaml does not list"
            for cite in cites
            if _source(cite) not in listed
        ),
        *(f": cites '{cite}' without a place in it" for cite in cites if not cite.partition(" ")[2]),
    ]


def _source(cite: str) -> str:
    return cite.partition(" ")[0]


def _resolve(name: str, raw: Mapping[str, Any]) -> dict[str, Any]:
    """One protocol's own parameters over its fallback's over the common ones."""
    own = raw[name]
    chain = [name, *([own["fallback"]] if "fallback" in own else []), _COMMON]
    resolved = {key: value for key, value in own.items() if key not in _AREAS}
    resolved["documents"] = raw[_COMMON]["sources"]
    for area in _AREAS:
        section: dict[str, Any] = {}
        for origin in reversed(chain):
            for parameter, entry in raw[origin].get(area, {}).items():
                section[parameter] = entry | {"origin": origin}
        if area == "dosing":
            _drop_foreign_escalation(section)
        for parameter, entry in section.items():
            section[parameter] = entry | {"inherited_from": _inherited_from(entry, chain, raw)}
        resolved[area] = section
    return resolved


def _drop_foreign_escalation(dosing: dict[str, Any]) -> None:
    """A protocol with its own kind of escalation does not inherit the parts of another kind."""
    kind = dosing.get("escalation", {}).get("value")
    for part, its_kind in _PARTS_OF_ESCALATION.items():
        if kind != its_kind:
            dosing.pop(part, None)


def _inherited_from(entry: Mapping[str, Any], chain: list[str], raw: Mapping[str, Any]) -> str | None:
    """The protocol a value was taken from; a common value that cites one's own source is one's own."""
    if entry["origin"] != _COMMON:
        return None if entry["origin"] == chain[0] else str(entry["origin"])
    cited = {_source(cite) for cite in entry.get("cite", [])}
    for protocol in chain[:-1]:
        if cited & set(raw[protocol]["sources"]):
            return None if protocol == chain[0] else protocol
    return None


def _contradictions(protocol: Protocol) -> list[str]:
    """Cross-checks between parameters."""
    dosing, problems = protocol.dosing, []
    rungs = dosing.ladder.value
    single = dosing.escalation.value == areas.SINGLE_STEP
    steps = (dosing.escalation_from, dosing.escalation_to) if single else ()
    problems += [
        f"dosing: {level.value} is not a rung of dosing.ladder"
        for level in (dosing.start_level, *steps)
        if level is not None and level.value not in rungs
    ]
    problems += [
        f"dosing.ladder: {rung} is above dosing.maximum_daily_dose"
        for rung in rungs
        if dosing.maximum_daily_dose.holds(rung.dose_mg)
    ]
    if dosing.maximum_daily_dose.value > dosing.ceiling.value:
        problems.append("dosing.maximum_daily_dose: is above dosing.ceiling")
    if single and None in (*steps, dosing.escalation_cycles):
        problems.append("dosing.escalation: a single step needs escalation_from, escalation_to and escalation_cycles")
    if dosing.escalation.value == areas.STEPWISE and dosing.escalation_months is None:
        problems.append("dosing.escalation: step by step needs escalation_months")
    checks = (_renal_contradictions, _heme_contradictions, _pregnancy_contradictions, _choices)
    return problems + [problem for check in checks for problem in check(protocol)]


def _renal_contradictions(protocol: Protocol) -> list[str]:
    bands = protocol.renal.bands.value
    return [
        f"renal.bands: '{lower.in_words}' does not end where '{upper.in_words}' begins"
        for upper, lower in pairwise(bands)
        if lower.below != upper.at_least
    ]


def _heme_contradictions(protocol: Protocol) -> list[str]:
    heme, problems = protocol.heme, []
    lineages = {
        "anc": (heme.anc_interrupt, heme.anc_resume, heme.lowest_level_stop_anc),
        "platelets": (heme.platelets_interrupt, heme.platelets_resume, heme.lowest_level_stop_platelets),
    }
    for lineage, (interrupt, resume, stop) in lineages.items():
        if resume.value < interrupt.value:
            problems.append(f"heme.{lineage}_resume: is below heme.{lineage}_interrupt")
        if stop is not None and stop.value > interrupt.value:
            problems.append(f"heme.lowest_level_stop_{lineage}: is above heme.{lineage}_interrupt, so it opens no drop")
    return problems


def _pregnancy_contradictions(protocol: Protocol) -> list[str]:
    """Tests that would never be asked for, or could never be met; methods that no record can name."""
    limits, problems = protocol.pregnancy, []
    two = (limits.first_test_from, limits.first_test_until, limits.second_test)
    if (None in two) is (limits.single_first_test is None) or (any(two) and None in two):
        problems.append(
            "pregnancy: needs single_first_test, or else first_test_from, first_test_until and second_test together"
        )
    if two[0] is not None and two[1] is not None and two[0].value > two[1].value:
        problems.append("pregnancy.first_test_from: is above pregnancy.first_test_until")
    if limits.hcg_negative.value > limits.hcg_positive.value:
        problems.append("pregnancy.hcg_negative: is above pregnancy.hcg_positive")
    # The rules count days from these numbers, so the comparator is part of what they mean.
    for path, comparator in _COUNTED_FROM.items():
        found = protocol.parameter(path)
        if isinstance(found, Threshold) and found.comparator != comparator:
            problems.append(f"{path}: is '{found.comparator}', expected '{comparator}'")
    for path in ("contraception.effective", "contraception.additional", "contraception.oestrogen"):
        listed = protocol.parameter(path)
        named = listed.value if isinstance(listed, Listed) else ()
        problems += [
            f"{path}: '{token}' is not a method" for token in named if token not in areas.CONTRACEPTIVE_METHODS
        ]
    return problems


def _choices(protocol: Protocol) -> list[str]:
    """Words that must be one of a few."""
    allowed = {
        "dosing.escalation": {"none", areas.SINGLE_STEP, areas.STEPWISE},
        "renal.cap_schedule": {"21", "28"},
        "heme.start_one_low": {"warning", "critical"},
        "heme.start_both_low": {"warning", "critical"},
        "reproduction.family": {"US", "EU"},
        "pregnancy.breastfeeding": {areas.HOLD, areas.ADVISE_AGAINST},
        "freshness.hepatitis_screen": {"info", "warning"},
        "vte.recent_event_is": {"warning", "critical"},
        "vte.prophylaxis": {areas.FOR_ALL, areas.REQUIRED, areas.BY_RISK, areas.AFTER_AN_EVENT},
        "eligibility.transplant": {"autologous", "allogeneic", "any"},
        "eligibility.mild_hypersensitivity": {"warning", "critical"},
        "eligibility.analogue_hypersensitivity": {"warning", "critical if severe", "critical"},
        "eligibility.gvhd": {areas.ENDS_WHEN_REFRACTORY, areas.WEIGHED},
        "eligibility.refractory": {"info", "warning"},
        "eligibility.plasma_cell_leukaemia": {"info", "warning"},
        "eligibility.anti_hbc": {"info", "warning"},
        "eligibility.hiv": {"warning"},
    }
    return [
        f"{path}: '{choice.value}' is none of: {', '.join(sorted(words))}"
        for path, words in allowed.items()
        if isinstance(choice := protocol.parameter(path), Choice) and choice.value not in words
    ]
