"""The files of docs/monitoring, read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import promql_parser as promql
import yaml

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "monitoring"


@dataclass(frozen=True)
class Rule:
    """One alert."""

    group: str
    fields: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.fields["alert"])

    def metrics(self) -> set[str]:
        """Names that its expression selects. ValueError where it is no PromQL."""
        return set(_selected(promql.parse(self.fields["expr"])))


def rules() -> list[Rule]:
    told = yaml.safe_load((FOLDER / "alerts.yaml").read_text())
    return [Rule(group["name"], one) for group in told["groups"] for one in group["rules"]]


def jobs() -> list[str]:
    told = yaml.safe_load((FOLDER / "prometheus.yaml").read_text())
    return [one["job_name"] for one in told["scrape_configs"]]


def _selected(node: Any) -> list[str]:
    """By the tree, so that a word in a label is no metric."""
    if isinstance(node, promql.VectorSelector):
        return [node.name]
    if isinstance(node, promql.MatrixSelector):
        return _selected(node.vector_selector)
    if isinstance(node, promql.BinaryExpr):
        return _selected(node.lhs) + _selected(node.rhs)
    if isinstance(node, promql.Call):
        return [name for argument in node.args for name in _selected(argument)]
    if isinstance(node, promql.NumberLiteral | promql.StringLiteral):
        return []
    return _selected(node.expr)
