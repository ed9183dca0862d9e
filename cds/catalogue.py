"""Knowledge as pages: what a pharmacist reads and signs, one page a protocol."""

from __future__ import annotations

import re
from pathlib import Path

from cds.parameters import Parameter
from cds.protocol import Protocol, load_protocols
from cds.rules import RULES
from cds.strict_yaml import KnowledgeError

_SIGNED = re.compile(r"version (\S+), digest of its numbers (\w+)")


def write_catalogue(folder: Path) -> None:
    """Write all pages; pages of protocols that no longer exist are removed.

    Raises KnowledgeError when numbers changed under a version that was written before: a signature must keep its meaning.
    """
    folder.mkdir(parents=True, exist_ok=True)
    changed = [protocol for protocol in load_protocols().values() if _was_written_otherwise(folder, protocol)]
    if changed:
        raise KnowledgeError(
            [
                f"protocols/{protocol.id}: numbers changed but the version is still {protocol.full_version}: "
                "add 1 to its revision"
                for protocol in changed
            ]
        )
    pages = catalogue_pages()
    for stale in set(folder.glob("*.md")) - {folder / name for name in pages}:
        stale.unlink()
    for name, text in pages.items():
        (folder / name).write_text(text, encoding="utf-8")


def check_catalogue(folder: Path) -> list[str]:
    """What is missing, stale or superfluous among the written pages."""
    pages = catalogue_pages()
    written = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.md")}
    return [
        f"{folder / name}: {'missing' if name not in written else 'superfluous' if name not in pages else 'not current'}"
        for name in sorted(set(pages) | set(written))
        if pages.get(name) != written.get(name)
    ]


def catalogue_pages() -> dict[str, str]:
    """File name to Markdown."""
    return {f"{protocol.id}.md": _page(protocol) for protocol in load_protocols().values()}


def _page(protocol: Protocol) -> str:
    return (
        "\n\n".join(
            [
                f"# {protocol.title}",
                _identity(protocol),
                "## Numbers",
                _numbers(protocol),
                "## Rules",
                *(_rule(rule_id, statement, sources) for rule_id, statement, sources in _rules(protocol)),
                "## Sources",
                _sources(protocol),
            ]
        ).rstrip()
        + "\n"
    )


def _was_written_otherwise(folder: Path, protocol: Protocol) -> bool:
    page = folder / f"{protocol.id}.md"
    written = _SIGNED.search(page.read_text(encoding="utf-8")) if page.exists() else None
    return written is not None and written[1] == protocol.full_version and written[2] != protocol.digest


def _identity(protocol: Protocol) -> str:
    review = protocol.review
    rows = [
        f"- Protocol `{protocol.id}`, version {protocol.full_version}, digest of its numbers {protocol.digest}",
        f"- Setting: {protocol.setting}",
        f"- Where silent, inherits from: {protocol.fallback or 'nothing'}",
        f"- Written by {review.author}; checked by {review.checked_by}; {review.date}; next review {review.next_review}",
        *(f"- {change}" for change in review.changes),
    ]
    return "\n".join(rows)


def _numbers(protocol: Protocol) -> str:
    rows = ["| parameter | value | source | from | note |", "| --- | --- | --- | --- | --- |"]
    rows += [
        f"| `{path}` | {parameter.in_words} | {'; '.join(parameter.citations)} "
        f"| {_origin(parameter, protocol)} | {parameter.note} |"
        for path, parameter in protocol.parameters()
    ]
    return "\n".join(rows)


def _origin(parameter: Parameter, protocol: Protocol) -> str:
    if parameter.inherited_from is not None:
        return f"inherited from {parameter.inherited_from}"
    return "this protocol" if parameter.origin == protocol.id else "common"


def _rules(protocol: Protocol) -> list[tuple[str, str, tuple[str, ...]]]:
    return [
        (rule.id, protocol.fill(rule.statement), rule.citations(protocol)) for rule in RULES if rule.applies(protocol)
    ]


def _rule(rule_id: str, statement: str, sources: tuple[str, ...]) -> str:
    return f"### {rule_id}\n\n{statement}\n\nSource: {'; '.join(sources) or 'none'}"


def _sources(protocol: Protocol) -> str:
    cited = {cite.partition(" ")[0] for _, parameter in protocol.parameters() for cite in parameter.cite}
    return "\n".join(
        f"- **{name}** {source.title} ({source.checked})"
        for name, source in protocol.documents.items()
        if name in cited
    )
