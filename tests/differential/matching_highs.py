"""HiGHS behind a pipe: one linear program a line in, its solution a line out, both JSON.

A process of its own, because highspy and ortools each bring a `libhighs.so.1`, of different versions:
whichever is imported second in a process finds the other's and fails. Nothing here may import the matcher.

A program is {"tail": [...], "head": [...], "capacity": [...], "gain": [...], "held": [[...], total] or null}:
the circulation of most total gain; `held` keeps another total at a given value.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import highspy
import numpy as np


def main() -> None:
    for line in sys.stdin:
        print(json.dumps(solve(json.loads(line))), flush=True)


def solve(program: dict[str, Any]) -> list[float]:
    """The flow over each arc."""
    solver = highspy.Highs()
    solver.setOptionValue("output_flag", False)
    solver.passModel(model_of(program))
    solver.run()
    if solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        raise RuntimeError(f"HiGHS ended with {solver.getModelStatus()}")
    return list(solver.getSolution().col_value)


def model_of(program: dict[str, Any]) -> highspy.HighsLp:
    tail, head, held = program["tail"], program["head"], program["held"]
    columns, nodes = len(tail), max(tail + head) + 1
    bounds = np.zeros(nodes + bool(held))
    weights: list[list[tuple[int, float]]] = [[(t, -1.0), (h, 1.0)] for t, h in zip(tail, head, strict=True)]
    if held:
        bounds[nodes] = held[1]
        for entries, weight in zip(weights, held[0], strict=True):
            entries.append((nodes, float(weight)))
    model = highspy.HighsLp()
    model.num_col_, model.num_row_ = columns, len(bounds)
    model.col_cost_ = -np.array(program["gain"], float)
    model.col_lower_, model.col_upper_ = np.zeros(columns), np.array(program["capacity"], float)
    model.row_lower_ = model.row_upper_ = bounds
    model.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    model.a_matrix_.start_ = np.cumsum([0] + [len(entries) for entries in weights])
    model.a_matrix_.index_ = np.array([row for entries in weights for row, _ in entries])
    model.a_matrix_.value_ = np.array([value for entries in weights for _, value in entries])
    return model


if __name__ == "__main__":
    main()
