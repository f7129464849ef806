"""Alert rules: each is well formed, asks for metrics that exist, and says where to read on.

Those of validators are asked of one in tests/network/test_metrics.py.
"""

from __future__ import annotations

import re

import monitoring
import promql_parser as promql
import pytest
import yaml
from monitoring import FOLDER, ROOT, Rule

from api.metrics import Metrics

RULES = monitoring.rules()
HOSTS = {"node_filesystem_avail_bytes", "node_timex_offset_seconds"}
"""node_exporter's."""
DURATION = re.compile(r"(\d+(ms|[smhdwy]))+")
JOB = re.compile(r'job="([^"]+)"')


def of_services() -> set[str]:
    """Every series that the API tells."""
    families = Metrics().registry.collect()
    suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}
    return {one.name + suffix for one in families for suffix in suffixes[one.type]}


def by_name(rule: Rule) -> str:
    return rule.name


def test_every_alert_has_a_name_of_its_own() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES) > 10


@pytest.mark.parametrize("rule", RULES, ids=by_name)
def test_a_rule_is_as_prometheus_reads_it(rule: Rule) -> None:
    assert set(rule.fields) == {"alert", "expr", "for", "labels", "annotations"}
    assert re.fullmatch(r"[A-Z]\w+", rule.name)
    assert DURATION.fullmatch(rule.fields["for"])
    assert rule.fields["labels"]["severity"] in ("warning", "critical")
    assert rule.metrics()


@pytest.mark.parametrize("rule", RULES, ids=by_name)
def test_a_rule_asks_for_metrics_that_somebody_tells(rule: Rule) -> None:
    known = of_services() | HOSTS | {"up"}
    asked = {name for name in rule.metrics() if not name.startswith("avalanche_")}
    assert asked - known == set()


@pytest.mark.parametrize("rule", RULES, ids=by_name)
def test_a_rule_asks_for_jobs_that_are_scraped(rule: Rule) -> None:
    assert set(JOB.findall(rule.fields["expr"])) <= set(monitoring.jobs())


@pytest.mark.parametrize("rule", RULES, ids=by_name)
def test_a_rule_says_what_to_do(rule: Rule) -> None:
    page, _, anchor = rule.fields["annotations"]["runbook"].partition("#")
    headings = re.findall(r"^#+ (.+)$", (ROOT / "docs" / page).read_text(), re.MULTILINE)
    assert anchor in {heading.lower().replace(" ", "-") for heading in headings}
    assert rule.fields["annotations"]["summary"]


def test_prometheus_reads_the_rules() -> None:
    told = yaml.safe_load((FOLDER / "prometheus.yaml").read_text())
    assert told["rule_files"] == ["alerts.yaml"]
    assert all((FOLDER / name).is_file() for name in told["rule_files"])


@pytest.mark.parametrize("wrong", ["sum(", "up{job=}", "rate(up)", "up == bool"])
def test_what_is_no_promql_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        promql.parse(wrong)
