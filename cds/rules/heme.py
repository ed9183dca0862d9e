"""Area heme: blood counts at start, interruption, and how to resume."""

from __future__ import annotations

from datetime import date, timedelta

from cds.case import COUNTS, Case
from cds.episodes import NEUTROPHILS, PLATELETS, Episode
from cds.findings import Action, Correction, DrugOffer, Evidence, Indicator, Outcome
from cds.level import CYCLE_DAYS, Level
from cds.parameters import Threshold
from cds.periods import supply_days
from cds.recommend import exceeds, gcsf_keeps_dose, is_at_floor, level_after_drop, resume_level, target_level
from cds.rules.rule import Report, rule
from cds.words import NAMES, of_order, of_result, on, reading

CBC = "cbc"
UNKNOWN_COUNTS = Report(Indicator.INFO, "Blood count missing or undecided", outcome=Outcome.UNKNOWN)


@rule(
    "heme.start-criteria",
    "Start maintenance only with neutrophils {heme.start_anc} and platelets {heme.start_platelets}.",
    cites=("heme.start_anc", "heme.start_platelets"),
)
def start_criteria(case: Case) -> Report | None:
    """Counts at a new start."""
    if not case.course.new_start:
        return None
    heme = case.protocol.heme
    limits = {NEUTROPHILS: heme.start_anc, PLATELETS: heme.start_platelets}
    low = [
        result
        for token, limit in limits.items()
        if case.meets(token, limit) is False
        and (result := case.count(token, limit)) is not None
        and (case.today - result.day).days <= case.cbc_window
    ]
    if not low:
        open_question = any(case.meets(token, limit) is None for token, limit in limits.items())
        return UNKNOWN_COUNTS if open_question else None
    grade = heme.start_both_low if len(low) == len(limits) else heme.start_one_low
    facts = ", ".join(reading(result, case.today) for result in low)
    undecided = grade.value == "warning"
    return Report(
        Indicator(grade.value),
        f"Do not start lenalidomide yet: {facts}",
        f"Start when neutrophils are {heme.start_anc.in_words} and platelets {heme.start_platelets.in_words}; repeat the "
        "blood count in a week." + (' The label says "and/or": the other count is adequate.' if undecided else ""),
        tuple(of_result(result) for result in low),
        Action.HOLD,
        (CBC,),
    )


def _interruption(case: Case, lineage: str, limit: Threshold, resume: Threshold) -> Report | None:
    episode = case.course.open_episode
    low = case.count(lineage, limit)
    in_episode = episode is not None and lineage in episode.still_low
    in_force = in_episode or (not case.course.new_start and case.meets(lineage, limit) is True)
    if low is None or not in_force:
        open_question = not case.course.new_start and case.meets(lineage, limit) is None
        return UNKNOWN_COUNTS if open_question else None
    early = episode is not None and low.day > episode.opened
    headline = "Too early to resume lenalidomide" if early else "Hold lenalidomide"
    why = limit.in_words.rpartition(" ")[0]
    if episode is not None and limit.holds_for(low.measurement) is not True:
        low, why = episode.nadirs[lineage], "recovery not shown on a later day"
    return Report(
        Indicator.CRITICAL,
        f"{headline}: {reading(low, case.today)}, {why}",
        _how_to_resume(case, episode, lineage, resume),
        (of_result(low),),
        Action.HOLD,
        (CBC,),
    )


def _verb(lineage: str) -> str:
    return "are" if lineage == PLATELETS else "is"


def _how_to_resume(case: Case, episode: Episode | None, lineage: str, resume: Threshold) -> str:
    waits = episode is not None and _waits_for_next_cycle(case, episode) and not _is_day_one(case)
    when = ", not before the next cycle," if waits else ""
    text = f"Interrupt; blood count weekly. Resume{when} when {NAMES[lineage]} {_verb(lineage)} {resume.in_words}."
    if episode is not None and gcsf_keeps_dose(case, episode):
        text += " This protocol also allows G-CSF at the same dose when neutropenia is the only toxicity."
    return text


@rule(
    "heme.anc-interrupt",
    "Interrupt when neutrophils are {heme.anc_interrupt}; resume one level lower when {heme.anc_resume}.",
    cites=("heme.anc_interrupt", "heme.anc_resume"),
    needs_draft=False,
)
def anc_interrupt(case: Case) -> Report | None:
    """Neutropenia during maintenance."""
    return _interruption(case, NEUTROPHILS, case.protocol.heme.anc_interrupt, case.protocol.heme.anc_resume)


@rule(
    "heme.plt-interrupt",
    "Interrupt when platelets are {heme.platelets_interrupt}; resume one level lower when {heme.platelets_resume}.",
    cites=("heme.platelets_interrupt", "heme.platelets_resume"),
    needs_draft=False,
)
def platelets_interrupt(case: Case) -> Report | None:
    """Thrombocytopenia during maintenance."""
    return _interruption(case, PLATELETS, case.protocol.heme.platelets_interrupt, case.protocol.heme.platelets_resume)


def _watch(case: Case, lineage: str, interrupt: Threshold, watch: Threshold) -> Report | None:
    quiet = case.course.open_episode is None and case.course.pending_reduction is None
    result = case.count(lineage, watch)
    if case.course.new_start or not quiet or result is None:
        return None
    if watch.holds_for(result.measurement) is not True or interrupt.holds_for(result.measurement) is not False:
        return None
    return Report(
        Indicator.INFO,
        f"{reading(result, case.today)}: no dose change in maintenance",
        f"Low, but not {interrupt.in_words}: no dose change is required in maintenance.",
        (of_result(result),),
    )


@rule(
    "heme.anc-watch",
    "Neutrophils {heme.anc_watch} but not {heme.anc_interrupt} require no change in maintenance.",
    cites=("heme.anc_watch",),
    needs_draft=False,
)
def anc_watch(case: Case) -> Report | None:
    """Low neutrophils above the interruption line."""
    return _watch(case, NEUTROPHILS, case.protocol.heme.anc_interrupt, case.protocol.heme.anc_watch)


@rule(
    "heme.plt-watch",
    "Platelets {heme.platelets_watch} but not {heme.platelets_interrupt} require no change in maintenance.",
    cites=("heme.platelets_watch",),
    needs_draft=False,
)
def platelets_watch(case: Case) -> Report | None:
    """Low platelets above the interruption line."""
    return _watch(case, PLATELETS, case.protocol.heme.platelets_interrupt, case.protocol.heme.platelets_watch)


@rule(
    "heme.resume-level",
    "After a drop and recovery resume at the next lower level of {dosing.ladder}.",
    cites=("dosing.ladder", "heme.anc_resume"),
)
def resume_at_lower_level(case: Case) -> Report | None:
    """A restart after recovery must be one level down."""
    episode = case.course.pending_reduction
    onset = None if episode is None else case.course.onset_level(episode)
    target, draft = target_level(case), case.draft_level
    if episode is None or onset is None or draft is None or target.ladder is None or target.level is None:
        return None
    if is_at_floor(case, onset) or not exceeds(draft, target.ladder):
        return None
    rung = f" The next lower level is {target.ladder.brief}." if target.ladder != target.level else ""
    alternative = gcsf_keeps_dose(case, episode) and case.gcsf is None
    option = " G-CSF with the dose kept is the alternative." if alternative else ""
    return Report(
        Indicator.WARNING,
        f"Resume one level lower: {target.level.in_words} after {_drop(case, episode)}",
        f"{_story(case, episode, onset)}{rung}{option}",
        _evidence(case, episode),
        Action.MODIFY,
        order_drugs=(DrugOffer("filgrastim"),) if alternative else (),
    )


@rule(
    "heme.gcsf",
    "With G-CSF the dose may be kept when neutropenia is the only cytopenia (platelets not {heme.gcsf_other_cytopenia}).",
    cites=("heme.gcsf_keeps_dose", "heme.gcsf_other_cytopenia"),
    applies=lambda protocol: protocol.heme.gcsf_keeps_dose.value,
)
def gcsf(case: Case) -> Report | None:
    """The dose is kept under G-CSF."""
    episode, regimen = case.course.pending_reduction, case.regimen
    if episode is None or regimen is None or case.gcsf is None or not gcsf_keeps_dose(case, episode):
        return None
    onset = case.course.onset_level(episode)
    if onset is None or regimen.level != onset:
        return None
    return Report(
        Indicator.INFO,
        f"Dose kept at {onset.in_words} with G-CSF after {_drop(case, episode)}",
        _story(case, episode, onset),
        (*_evidence(case, episode), of_order(case.gcsf)),
    )


@rule(
    "heme.floor",
    "Below the lowest rung of {dosing.ladder} there is no further reduction.",
    cites=("dosing.ladder",),
    needs_draft=False,
)
def floor(case: Case) -> Report | None:
    """A drop at the lowest level."""
    episode = case.course.open_episode or case.course.pending_reduction
    onset = None if episode is None else case.course.onset_level(episode)
    stops_here = case.protocol.heme.lowest_level_stop_anc is not None and onset in case.protocol.dosing.ladder.value
    if episode is None or onset is None or stops_here or not is_at_floor(case, onset):
        return None
    again = level_after_drop(case, onset)
    option = ", G-CSF" if case.protocol.heme.gcsf_keeps_dose.value else ""
    then = (
        f" After recovery {again.in_words} may be resumed, not less." if again else " No source gives a dose to resume."
    )
    return Report(
        Indicator.CRITICAL if episode.is_open else Indicator.WARNING,
        f"No lower dose level after {_drop(case, episode)} at {onset.in_words}",
        f"Consider stopping{option} or specialist review.{then}",
        _evidence(case, episode),
        _floor_action(case, episode, again),
    )


def _floor_action(case: Case, episode: Episode, again: Level | None) -> Action | None:
    if episode.is_open:
        return Action.HOLD
    if again is None:
        return Action.DEFER
    draft = case.draft_level
    return Action.MODIFY if draft is not None and exceeds(draft, again) else None


@rule(
    "heme.revallo-lowest-dose",
    "At the lowest level a count {heme.lowest_level_stop_anc} (neutrophils) or {heme.lowest_level_stop_platelets} "
    "(platelets) ends treatment; {heme.lowest_level_watch_anc} or {heme.lowest_level_watch_platelets} is grade 3.",
    cites=("heme.lowest_level_stop_anc", "heme.lowest_level_stop_platelets", "heme.lowest_level_watch_anc"),
    sources=("S2 outcome definition",),
    needs_draft=False,
    applies=lambda protocol: protocol.heme.lowest_level_stop_anc is not None,
)
def lowest_dose(case: Case) -> Report | None:
    """The trial's definitive interruption."""
    heme = case.protocol.heme
    stops = {NEUTROPHILS: heme.lowest_level_stop_anc, PLATELETS: heme.lowest_level_stop_platelets}
    watches = {NEUTROPHILS: heme.lowest_level_watch_anc, PLATELETS: heme.lowest_level_watch_platelets}
    for episode in case.course.episodes:
        onset = case.course.onset_level(episode)
        for lineage, nadir in episode.nadirs.items():
            limit = stops[lineage]
            if onset is not None and is_at_floor(case, onset) and limit and limit.holds_for(nadir.measurement) is True:
                return Report(
                    Indicator.CRITICAL,
                    f"Stop lenalidomide: {reading(nadir, case.today)} at the lowest dose",
                    "A grade 3–4 event at the lowest dose is the trial's definition of definitive interruption.",
                    (of_result(nadir),),
                    Action.DISCONTINUE,
                )
    current = case.course.current_level
    if current is None or not is_at_floor(case, current):
        return None
    for lineage in COUNTS:
        limit = watches[lineage]
        result = None if limit is None else case.count(lineage, limit)
        if limit is not None and result is not None and limit.holds_for(result.measurement) is True:
            return Report(
                Indicator.WARNING,
                f"Grade 3 count at the lowest dose: {reading(result, case.today)}",
                "Read literally, the trial stops here; its escalation rule foresees patients who stay. Decide.",
                (of_result(result),),
            )
    return None


@rule(
    "heme.day1-delay",
    "Platelets {heme.platelets_interrupt} on day 1: delay the cycle ({heme.day1_delay}) until {heme.platelets_resume}.",
    cites=("heme.day1_delay",),
    applies=lambda protocol: protocol.heme.day1_delay is not None,
)
def day1_delay(case: Case) -> Report | None:
    """Low platelets when the next cycle would begin."""
    delay, low = case.protocol.heme.day1_delay, case.count(PLATELETS, case.protocol.heme.platelets_interrupt)
    if delay is None or low is None or not _is_day_one(case):
        return None
    return Report(
        Indicator.CRITICAL,
        f"Delay the cycle by {delay.amount}: {reading(low, case.today)} on day 1",
        f"Start the cycle when platelets are {case.protocol.heme.platelets_resume.in_words}; repeat the count in a week. "
        "Whether the dose is also reduced the source does not say; other sources reduce it.",
        (of_result(low),),
        Action.HOLD,
        (CBC,),
    )


def _is_day_one(case: Case) -> bool:
    """Platelets are low at the start of a cycle, and were not in the cycle just completed."""
    episode, latest_order = case.course.open_episode, case.course.latest
    if case.protocol.heme.day1_delay is None or episode is None or PLATELETS not in episode.still_low:
        return False
    if latest_order is None or latest_order.end is None or latest_order.end > case.today:
        return False
    if any(order.status in {"stopped", "on-hold"} for order in latest_order.orders):
        return False
    began = max(latest_order.start, latest_order.end - timedelta(days=CYCLE_DAYS))
    limit = case.protocol.heme.platelets_interrupt
    return not any(
        began <= result.day < latest_order.end and limit.holds_for(result.measurement) is True
        for result in case.snapshot.of(PLATELETS)
    )


@rule(
    "heme.wait-next-cycle",
    "After a platelet drop, or from the second neutrophil drop on, resume only with the next cycle.",
    cites=("heme.wait_next_cycle_platelets", "heme.wait_next_cycle_neutrophils"),
    applies=lambda protocol: protocol.heme.wait_next_cycle_platelets is not None,
)
def wait_next_cycle(case: Case) -> Report | None:
    """Recovered mid-cycle, but the next cycle is to be awaited."""
    episode = case.course.pending_reduction
    if episode is None or not _waits_for_next_cycle(case, episode):
        return None
    begins = _next_cycle(case, episode)
    if begins is None or case.course.draft_start >= begins:
        return None
    level = resume_level(case)
    at = f" at {level.in_words}" if level is not None else ""
    return Report(
        Indicator.WARNING,
        f"Wait for the next cycle on {on(begins, case.today)} after {_drop(case, episode)}",
        f"Resume on {on(begins, case.today)}{at}.",
        _evidence(case, episode),
        Action.HOLD,
        corrections=(Correction("start", begins),),
    )


def _waits_for_next_cycle(case: Case, episode: Episode) -> bool:
    heme = case.protocol.heme
    platelets, neutrophils = heme.wait_next_cycle_platelets, heme.wait_next_cycle_neutrophils
    by_platelets = PLATELETS in episode.lineages and platelets is not None and platelets.value
    return by_platelets or (neutrophils is not None and neutrophils.holds(episode.number))


def _next_cycle(case: Case, episode: Episode) -> date | None:
    """The first day of a new cycle, counted from the interrupted order, after the opening date."""
    interrupted = case.course.onset_period(episode)
    if interrupted is None:
        return None
    planned = [supply_days(order) for order in interrupted.orders]
    if None not in planned and episode.opened >= interrupted.start + timedelta(days=max(d or 0 for d in planned)):
        # The count fell between two orders: no cycle was interrupted.
        return None
    cycles = (episode.opened - interrupted.start).days // CYCLE_DAYS + 1
    return interrupted.start + timedelta(days=cycles * CYCLE_DAYS)


def _drop(case: Case, episode: Episode) -> str:
    worst = next(iter(episode.nadirs.values()))
    return reading(worst, case.today)


def _story(case: Case, episode: Episode, onset: Level) -> str:
    nadirs = ", ".join(reading(nadir, case.today) for nadir in episode.nadirs.values())
    which = {1: "First drop", 2: "Second drop"}.get(episode.number, f"Drop number {episode.number}")
    return f"{which} at {onset.brief}: {nadirs}; recovered {on(episode.closed, case.today)}."


def _evidence(case: Case, episode: Episode) -> tuple[Evidence, ...]:
    return tuple(of_result(result) for result in (*episode.nadirs.values(), *case.latest_counts))


RULES = (
    start_criteria,
    day1_delay,
    anc_interrupt,
    platelets_interrupt,
    lowest_dose,
    wait_next_cycle,
    floor,
    resume_at_lower_level,
    gcsf,
    anc_watch,
    platelets_watch,
)
