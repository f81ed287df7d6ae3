"""The rule against set order in the pure core: a set's order changes with PYTHONHASHSEED.

What is a set is told from the syntax alone: literals, `set(...)`, set operations, and names,
fields and functions annotated as sets anywhere in the core. A name that is also annotated as
something else is left alone: the rule must never cry wolf.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tests.house.findings import Finding, Module

__all__ = ["SetNames", "check_set_order", "set_names"]

SET_TYPES = frozenset(("set", "frozenset", "Set", "FrozenSet", "AbstractSet", "MutableSet"))
SET_METHODS = frozenset(("union", "intersection", "difference", "symmetric_difference"))
SET_OPERATORS = (ast.BitAnd, ast.BitOr, ast.BitXor, ast.Sub)
VIEWS = frozenset(("keys", "items"))
# These give the same result in whatever order they are fed (min and max without a key).
ORDER_FREE = frozenset(("all", "any", "frozenset", "len", "max", "min", "set", "sorted"))
# These keep the order they are fed. `sum` is one: float addition is not associative.
ORDERED = frozenset(
    ("dict", "enumerate", "filter", "iter", "list", "map", "reversed", "sum", "tuple", "zip")
)
ORDERED_METHODS = frozenset(("extend", "fromkeys", "fsum", "join"))


@dataclass(frozen=True, slots=True)
class SetNames:
    """What annotations say is a set: fields (of any class) and functions, by bare name."""

    fields: frozenset[str] = frozenset()
    functions: frozenset[str] = frozenset()


def set_names(modules: Iterable[Module]) -> SetNames:
    """The set-valued fields and functions of the pure modules among those given."""
    fields: dict[str, list[bool]] = {}
    functions: dict[str, list[bool]] = {}
    for module in modules:
        for node in ast.walk(module.tree) if module.is_pure else ():
            if isinstance(node, ast.ClassDef):
                for name, annotation in _fields(node):
                    fields.setdefault(name, []).append(_is_set_type(annotation))
            elif isinstance(node, ast.FunctionDef):
                functions.setdefault(node.name, []).append(_is_set_type(node.returns))
    return SetNames(fields=_unanimous(fields), functions=_unanimous(functions))


def _unanimous(said: dict[str, list[bool]]) -> frozenset[str]:
    return frozenset(name for name, answers in said.items() if all(answers))


def _fields(node: ast.ClassDef) -> Iterator[tuple[str, ast.expr]]:
    """Fields declared in the class body or, annotated, on self."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.AnnAssign):
            target = inner.target
            if isinstance(target, ast.Name) and inner in node.body:
                yield target.id, inner.annotation
            elif isinstance(target, ast.Attribute):
                yield target.attr, inner.annotation


def _is_set_type(annotation: ast.expr | None) -> bool:
    if isinstance(annotation, ast.Subscript):
        return _is_set_type(annotation.value)
    if isinstance(annotation, ast.Attribute):
        return annotation.attr in SET_TYPES
    return isinstance(annotation, ast.Name) and annotation.id in SET_TYPES


def check_set_order(module: Module, known: SetNames) -> list[Finding]:
    """Every place of a pure module where a set's order can reach a result."""
    if not module.is_pure:
        return []
    finder = _Finder(known)
    finder.visit(module.tree)
    return [
        Finding(rule="set-order", path=module.path, line=line, what="iterates a set; sort it")
        for line in finder.lines
    ]


class _Finder(ast.NodeVisitor):
    """Walks a module with the set-valued local names of the functions it is inside of."""

    def __init__(self, known: SetNames) -> None:
        self.known = known
        self.scopes: list[dict[str, bool]] = []
        self.lines: list[int] = []

    def visit_Module(self, node: ast.Module) -> None:
        self._scope(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._scope(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._scope(node)

    def _scope(self, node: ast.Module | ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self.scopes.append({})
        for _ in range(2):  # Twice, because one local may be made from another.
            self.scopes[-1] = self._locals(node)
        self.generic_visit(node)
        self.scopes.pop()

    def _locals(self, node: ast.AST) -> dict[str, bool]:
        """Each name bound in a scope, and whether every binding of it is a set."""
        said: dict[str, bool] = {}
        for inner in _own_nodes(node):
            for name, is_set in self._bindings(inner):
                said[name] = is_set and said.get(name, True)
        return said

    def _bindings(self, node: ast.AST) -> Iterator[tuple[str, bool]]:
        if isinstance(node, ast.arg):
            yield node.arg, _is_set_type(node.annotation)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id, _is_set_type(node.annotation)
        elif isinstance(node, ast.Assign):
            yield from ((name, self._is_set(node.value)) for name in _names(*node.targets))
        elif isinstance(node, ast.NamedExpr):
            yield node.target.id, self._is_set(node.value)
        elif isinstance(node, ast.For | ast.comprehension):
            yield from ((name, False) for name in _names(node.target))

    def _named_set(self, name: str) -> bool:
        """What the innermost scope that binds the name says."""
        return next((scope[name] for scope in reversed(self.scopes) if name in scope), False)

    def _is_set(self, node: ast.expr) -> bool:
        if isinstance(node, ast.Set | ast.SetComp):
            return True
        if isinstance(node, ast.Name):
            return self._named_set(node.id)
        if isinstance(node, ast.Attribute):
            return node.attr in self.known.fields
        if isinstance(node, ast.IfExp):
            return self._is_set(node.body) or self._is_set(node.orelse)
        if isinstance(node, ast.BinOp) and isinstance(node.op, SET_OPERATORS):
            return any(self._is_set(side) or _is_view(side) for side in (node.left, node.right))
        return isinstance(node, ast.Call) and self._gives_set(node)

    def _gives_set(self, node: ast.Call) -> bool:
        if isinstance(node.func, ast.Name):
            return node.func.id in {"set", "frozenset"} | self.known.functions
        if isinstance(node.func, ast.Attribute):
            made_from = node.func.value
            is_method = node.func.attr in SET_METHODS
            same = node.func.attr == "copy" and self._is_set(made_from)
            return same or is_method or node.func.attr in self.known.functions
        return False

    def visit_For(self, node: ast.For) -> None:
        self._iterated(node.iter)
        self.generic_visit(node)

    def visit_Starred(self, node: ast.Starred) -> None:
        self._iterated(node.value)
        self.generic_visit(node)

    def visit_YieldFrom(self, node: ast.YieldFrom) -> None:
        self._iterated(node.value)
        self.generic_visit(node)

    def visit_Set(self, node: ast.Set) -> None:
        """Unpacking a set into a set loses no order."""
        for element in node.elts:
            self.visit(element.value if isinstance(element, ast.Starred) else element)

    def visit_ListComp(self, node: ast.ListComp) -> None:
        self._comprehension(node)

    def visit_DictComp(self, node: ast.DictComp) -> None:
        self._comprehension(node)

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> None:
        self._comprehension(node)

    def _comprehension(self, node: ast.ListComp | ast.DictComp | ast.GeneratorExp) -> None:
        for part in node.generators:
            self._iterated(part.iter)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        """Consumers: some keep the order, some do not care, and set.pop takes any element."""
        self.visit(node.func)
        for keyword in node.keywords:
            self.visit(keyword.value)
        order_free = self._is_order_free(node)
        for argument in node.args:
            if order_free and isinstance(argument, ast.GeneratorExp | ast.ListComp):
                self.generic_visit(argument)
            elif order_free and isinstance(argument, ast.Starred):
                self.visit(argument.value)
            else:
                self.visit(argument)
            if self._keeps_order(node):
                self._iterated(argument)
        if self._pops_from_set(node):
            self.lines.append(node.lineno)

    def _is_order_free(self, node: ast.Call) -> bool:
        if isinstance(node.func, ast.Attribute):
            return node.func.attr in SET_METHODS | {"update"} and self._is_set(node.func.value)
        return isinstance(node.func, ast.Name) and node.func.id in ORDER_FREE and not _keyed(node)

    def _keeps_order(self, node: ast.Call) -> bool:
        if isinstance(node.func, ast.Attribute):
            return node.func.attr in ORDERED_METHODS
        if not isinstance(node.func, ast.Name):
            return False
        return _keyed(node) or node.func.id in ORDERED

    def _pops_from_set(self, node: ast.Call) -> bool:
        if not isinstance(node.func, ast.Attribute) or node.args:
            return False
        return node.func.attr == "pop" and self._is_set(node.func.value)

    def _iterated(self, node: ast.expr) -> None:
        if self._is_set(node):
            self.lines.append(node.lineno)


def _is_view(node: ast.expr) -> bool:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return node.func.attr in VIEWS
    return False


def _keyed(node: ast.Call) -> bool:
    """Whether it is max or min by a key, where among equals the first one met wins."""
    is_extreme = isinstance(node.func, ast.Name) and node.func.id in {"max", "min"}
    return is_extreme and any(keyword.arg == "key" for keyword in node.keywords)


def _names(*targets: ast.expr) -> Iterator[str]:
    """The plain names that targets bind, those inside tuples too."""
    for target in targets:
        if isinstance(target, ast.Name):
            yield target.id
        elif isinstance(target, ast.Tuple | ast.List):
            yield from _names(*target.elts)


def _own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a scope without those of the functions and classes inside it."""
    inner = (ast.AsyncFunctionDef, ast.ClassDef, ast.FunctionDef, ast.Lambda)
    for child in ast.iter_child_nodes(node):
        yield child
        if not isinstance(child, inner):
            yield from _own_nodes(child)
