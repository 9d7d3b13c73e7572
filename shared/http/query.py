"""Query strings: reading one into a schema, with one error that lists every wrong parameter."""

from dataclasses import replace
from functools import cache
from typing import TypeVar

from multidict import MultiMapping
from pydantic import ValidationError

from shared.errors import Fault
from shared.http.body import fault
from shared.http.errors import ParameterInvalid
from shared.http.routes import Schema

S = TypeVar("S", bound=Schema)


def read(given: MultiMapping[str], schema: type[S]) -> S:
    """Read a query string. A parameter that is a list in the schema may be repeated.

    Raises:
        ParameterInvalid: a parameter is unknown, repeated, or has a value that is not allowed.
    """
    lists = _lists(schema)
    faults = [
        Fault(name, "parameter_repeated", "it may be given only once", "parameter")
        for name in dict.fromkeys(given)
        if len(given.getall(name)) > 1 and name not in lists
    ]
    if not faults:
        try:
            return schema.model_validate(
                {name: given.getall(name) if name in lists else value for name, value in given.items()}
            )
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                found = fault(detail, schema.model_fields)
                faults.append(replace(found, where=found.where.removeprefix("/"), place="parameter"))
    raise ParameterInvalid.of(faults)


@cache
def _lists(schema: type[Schema]) -> frozenset[str]:
    """Return the parameters that are lists."""
    properties = schema.model_json_schema()["properties"]
    return frozenset(name for name, what in properties.items() if what.get("type") == "array")
