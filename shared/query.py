"""Query string -> a value of a schema, or the error that names every wrong parameter."""

from collections.abc import Collection
from dataclasses import replace
from typing import TypeVar

from aiohttp import web
from pydantic import ValidationError

from shared.body import Schema, fault
from shared.errors import MAX_FAULTS, Fault, ParameterInvalid

S = TypeVar("S", bound=Schema)


def read(request: web.Request, schema: type[S], lists: Collection[str] = ()) -> S:
    """Read the query string as `schema`; the parameters in `lists` may be there several times.

    Raises:
        ParameterInvalid: a parameter is unknown, there twice, or has a value that is not allowed.
    """
    given = request.query
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
    faults = faults[:MAX_FAULTS]
    raise ParameterInvalid("; ".join(f"{fault.where}: {fault.message}" for fault in faults), faults=faults)
