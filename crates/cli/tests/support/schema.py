"""Judges values by a JSON Schema: reads {"schema": …, "values": […]}, prints for each what is wrong with it."""
import json
import sys

import jsonschema

asked = json.load(sys.stdin)
judge = jsonschema.validators.validator_for(asked["schema"])
judge.check_schema(asked["schema"])
judge = judge(asked["schema"])
json.dump([[error.message for error in judge.iter_errors(value)] for value in asked["values"]], sys.stdout)
