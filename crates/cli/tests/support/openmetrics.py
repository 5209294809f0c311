"""Reads OpenMetrics text with Prometheus's own parser, and prints what it understood as JSON."""
import json
import math
import sys

from prometheus_client.openmetrics.parser import text_string_to_metric_families

families = {}
for family in text_string_to_metric_families(sys.stdin.read()):
    assert family.name not in families, f"{family.name} comes twice"
    assert family.documentation, f"{family.name} does not say what it is"
    samples = []
    for sample in family.samples:
        assert math.isfinite(sample.value), sample
        samples.append([sample.name, sample.labels, sample.value])
    families[family.name] = {"type": family.type, "help": family.documentation, "samples": samples}
json.dump(families, sys.stdout)
