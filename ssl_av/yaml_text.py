"""YAML that strangers wrote: words, numbers, lists and mappings, nothing that runs and nothing that grows."""

from __future__ import annotations

from typing import Any

import yaml

MOST = 1 << 20
"""Bytes of a YAML file that are read at most; the longest one shipped has 3,000."""

NODES = 100_000
"""Values that a file may come to when each alias is written out."""

DEEPEST = 40
"""Levels of lists and mappings in each other."""

# libyaml, where there is one, reads the hundred files of `ssl-av list recipes` ten times as fast.
_Safe: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Loader(_Safe):
    """YAML's safe loader, in which a key is a word and stands once, and a date is a word too."""

    yaml_implicit_resolvers = {  # noqa: RUF012 (as PyYAML has it)
        sign: [rule for rule in rules if not rule[0].endswith(":timestamp")]
        for sign, rules in _Safe.yaml_implicit_resolvers.items()
    }

    def flatten_mapping(self, node: Any) -> None:
        """Called of each mapping, before what it merges (``<<``) is put before its own keys."""
        if getattr(node, "looked_at", False):  # as what another one merges
            return
        node.looked_at = True
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(None, None, "a key is a word", key.start_mark)
            if key.value in seen:  # PyYAML takes the last one
                raise yaml.MarkedYAMLError(None, None, f"'{key.value}' stands twice", key.start_mark)
            seen.add(key.value)
        super().flatten_mapping(node)
        # Its own keys stand after what it merges, and win; PyYAML 6.0.4 lets the first of them win where another
        # mapping merges this one.
        node.value = list({key.value: (key, value) for key, value in node.value}.values())

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        """The mapping of a node."""
        found = super().construct_mapping(node, deep)
        for key in found:
            if not isinstance(key, str):
                raise yaml.MarkedYAMLError(
                    None, None, f"a key is a word: put {key} in quotes", node.start_mark
                )
        return found


def parse_yaml(text: str) -> Any:
    """What a text in YAML says.

    Raises:
        ValueError: if it is not YAML, has a tag (``!!python/…``), or grows beyond `NODES` or `DEEPEST`; one line.
    """
    try:
        _check(text)
        return yaml.load(text, Loader=Loader)
    except yaml.MarkedYAMLError as e:
        where = f"line {e.problem_mark.line + 1}: " if e.problem_mark else ""
        raise ValueError(where + " ".join(str(e.problem or e).split())) from None
    except (yaml.YAMLError, ValueError, AttributeError, RecursionError) as e:
        raise ValueError(" ".join(str(e).split())) from None


def _check(text: str) -> None:
    """Looks at the text before anything is made of it.

    Raises:
        ValueError: for a tag, or if what it says would be too large, or without an end.
    """
    sizes: dict[str, int] = {}
    open_nodes: list[tuple[str | None, int]] = []  # anchor, values before it
    count = 0
    for event in yaml.parse(text, Loader=Loader):
        where = f"line {event.start_mark.line + 1}: " if event.start_mark else ""
        if (tag := getattr(event, "tag", None)) is not None:
            raise ValueError(f"{where}tags are not read, such as {tag[:60]}")
        before = count
        if isinstance(event, yaml.AliasEvent):
            count += sizes.get(str(event.anchor), 1)  # one that is not known is told of by the loader
            if any(anchor == event.anchor for anchor, _ in open_nodes):
                raise ValueError(f"{where}'*{event.anchor}' stands inside of itself")
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, begin = open_nodes.pop()
            if anchor:
                sizes[anchor] = count - begin
        elif isinstance(event, yaml.NodeEvent):
            count += 1
            if isinstance(event, yaml.CollectionStartEvent):
                open_nodes.append((event.anchor, before))
            elif event.anchor:
                sizes[event.anchor] = 1
        if count > NODES or len(open_nodes) > DEEPEST:
            most = f"{NODES} values" if count > NODES else f"{DEEPEST} levels"
            raise ValueError(f"{where}more than {most}, aliases written out")
