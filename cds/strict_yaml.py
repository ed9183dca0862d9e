"""YAML without its own typing: every scalar is text, a duplicate key is an error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable


class KnowledgeError(Exception):
    """Everything that is wrong with the knowledge files, all at once: ``problems`` are ``file: path: what``."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def load(file: Traversable, problems: list[str]) -> Any:
    """Parse one file into dicts, lists and strings; whatever is wrong is appended to ``problems``."""
    name = file.name if file.name == "common.yaml" else "/".join(str(file).split("/")[-2:])
    try:
        # libyaml's parser is ten times faster than the pure one; it does not look at duplicate keys, so we do.
        root = yaml.compose(file.read_text(encoding="utf-8"), Loader=yaml.CBaseLoader)
    except FileNotFoundError:
        problems.append(f"{name}: is missing")
        return {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        problems.append(f"{name}: not readable as YAML: {error}")
        return {}
    if not isinstance(root, yaml.MappingNode):
        problems.append(f"{name}: expected a mapping")
        return {}
    return _plain(root, f"{name}:", problems)


def _plain(node: yaml.Node, path: str, problems: list[str]) -> Any:
    if isinstance(node, yaml.MappingNode):
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            if key in result:
                problems.append(f"{path} {key}: stands twice (line {key_node.start_mark.line + 1})")
            result[key] = _plain(value_node, f"{path} {key}", problems)
        return result
    if isinstance(node, yaml.SequenceNode):
        return [_plain(child, f"{path}[{index}]", problems) for index, child in enumerate(node.value)]
    return str(node.value)
