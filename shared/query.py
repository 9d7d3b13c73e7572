"""Query string -> a value of a schema, or the error that names every wrong parameter."""

from dataclasses import replace
from functools import cache
from typing import TypeVar

from aiohttp import web
from pydantic import ValidationError

from shared.body import fault
from shared.errors import Fault, ParameterInvalid
from shared.routes import ROUTE, Schema

S = TypeVar("S", bound=Schema)


def read(request: web.Request, schema: type[S]) -> S:
    """Read the query string as `schema`, which is what the request's route says it must be.

    A parameter that is a list there may be given several times.

    Raises:
        ParameterInvalid: a parameter is unknown, there twice, or has a value that is not allowed.
    """
    route = request[ROUTE]
    assert route.query is schema, f"give the Route of {route.method} {route.path} the query {schema.__name__}"
    given, lists = request.query, _lists(schema)
    faults = [
        Fault(name, "parameter_repeated", "it may be given once", "parameter")
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
    """The parameters that are lists."""
    properties = schema.model_json_schema()["properties"]
    return frozenset(name for name, what in properties.items() if what.get("type") == "array")
