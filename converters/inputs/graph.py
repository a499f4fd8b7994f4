"""A GraphDef as a net of nodes to walk, and the part of it between two tensors. Nothing is run here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from runtime.errors import UsageError
from runtime.file_kind import shown


@dataclass(frozen=True)
class TensorName:
    """A node's output."""

    node: str
    index: int = 0

    @classmethod
    def parse(cls, text: str) -> TensorName:
        """``name``, ``name:0``, or a node's reference to its input: ``^name`` is a control input."""
        name, _, index = text.removeprefix("^").rpartition(":")
        return cls(name, int(index)) if name and index.isdecimal() else cls(text.removeprefix("^"))

    def __str__(self) -> str:
        return f"{self.node}:{self.index}"


class Graph:
    """Nodes by name, with who feeds and who is fed.

    Args:
        definition: a ``tf.compat.v1.GraphDef``.
    """

    def __init__(self, definition: Any) -> None:
        self.definition = definition
        self.nodes: dict[str, Any] = {node.name: node for node in definition.node}
        self.consumers: dict[str, list[str]] = {name: [] for name in self.nodes}
        for node in definition.node:
            for source in self.sources(node):
                if source in self.consumers:
                    self.consumers[source].append(node.name)

    @staticmethod
    def sources(node: Any, control: bool = True) -> list[str]:
        """Names of the nodes that feed a node."""
        return [TensorName.parse(text).node for text in node.input if control or not text.startswith("^")]

    def find(self, text: str, option: str) -> TensorName:
        """The tensor a user names, with or without ``:0``, or with label_image.py's ``import/`` before it.

        Raises:
            UsageError: there is none; the text lists a few that are.
        """
        for spelling in (text, text.removeprefix("import/")):
            tensor = TensorName.parse(spelling)
            if tensor.node in self.nodes:
                return tensor
        last = text.partition(":")[0].rpartition("/")[2].lower()
        close = [name for name in self.nodes if last and last in name.lower()]
        ends = [n for n, node in self.nodes.items() if node.op == "Placeholder" or not self.consumers[n]]
        some = dict.fromkeys([*ends[:4], *close])
        raise UsageError(f"{option} {shown(text)}: the graph has no such node; it has {names(some, 8)}")

    def ancestors(self, roots: Iterable[str], stop: str | None = None) -> Iterator[str]:
        """The roots and all that feeds them, nearest first; what feeds ``stop`` is left out."""
        queue = list(roots)
        seen = set(queue)
        for name in queue:  # grows while it is walked
            if name not in self.nodes:
                continue
            yield name
            if name == stop:
                continue
            fresh = [source for source in self.sources(self.nodes[name]) if source not in seen]
            seen.update(fresh)
            queue += dict.fromkeys(fresh)


def names(nodes: Iterable[str], most: int = 5) -> str:
    """A few names for an error message."""
    found = list(nodes)
    more = ", ..." if len(found) > most else ""
    return (", ".join(map(shown, found[:most])) or "none") + more


def cut_out(graph: Graph, entry: TensorName, exits: Iterable[str]) -> Any:
    """What leads from a tensor to some nodes, as a GraphDef of its own.

    The node behind ``entry`` becomes a Placeholder, so that nothing before it is there any more; only functions
    that are called are kept.
    """
    definition = type(graph.definition)()
    definition.versions.CopyFrom(graph.definition.versions)
    for name in graph.ancestors(exits, stop=entry.node):
        node = definition.node.add()
        node.CopyFrom(graph.nodes[name])
        if name == entry.node and node.op != "Placeholder":
            dtype = node.attr["dtype"].type if node.op == "PlaceholderWithDefault" else 1  # DT_FLOAT of types.proto
            del node.input[:]
            node.attr.clear()
            node.op = "Placeholder"
            node.attr["dtype"].type = dtype
    functions = {function.signature.name: function for function in graph.definition.library.function}
    for name in called_functions(definition.node, functions):
        definition.library.function.add().CopyFrom(functions[name])
    return definition


def called_functions(nodes: Iterable[Any], functions: dict[str, Any]) -> list[str]:
    """Names of the functions that nodes call, and those that these call."""
    found: dict[str, None] = {}
    queue = list(nodes)
    for node in queue:  # grows while it is walked
        for name in direct_calls([node], functions):
            if name not in found:
                found[name] = None
                queue += functions[name].node_def
    return list(found)


def direct_calls(nodes: Iterable[Any], functions: Mapping[str, Any]) -> list[str]:
    """Names of the functions that nodes call."""
    found: dict[str, None] = {}
    for node in nodes:
        named = [node.op]
        for value in node.attr.values():
            named += [value.func.name, *(function.name for function in value.list.func)]
        found |= {name: None for name in named if name in functions}
    return list(found)


def function_behind(graph: Graph, node: Any) -> Any:
    """The ``FunctionDef`` that a call node calls; None for any other node."""
    called = node.attr["f"].func.name if "f" in node.attr else node.op
    for function in graph.definition.library.function:
        if function.signature.name == called:
            return function
    return None


def function_graph(graph: Graph, function: Any) -> Graph:
    """A function's body as a graph of its own: its arguments are Placeholders, all else keeps its name."""
    definition = type(graph.definition)()
    definition.library.CopyFrom(graph.definition.library)
    for argument in function.signature.input_arg:
        definition.node.add(name=argument.name, op="Placeholder")
    for body in function.node_def:
        node = definition.node.add()
        node.CopyFrom(body)
        # In functions an input is called node:output:0, which output matters to nobody here.
        node.input[:] = [text.partition(":")[0] for text in body.input]
    return Graph(definition)


def all_nodes(definition: Any) -> Iterator[Any]:
    """The nodes of a ``GraphDef`` and of all its functions."""
    yield from definition.node
    for function in definition.library.function:
        yield from function.node_def
