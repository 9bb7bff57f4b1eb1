"""A JSON Schema of the language, for editors: what may stand where, with documentation, defaults and names."""

from artschool.schema.document import json_schema as json_schema
from artschool.schema.names import names_of as names_of
