"""Writes a JSON Schema of the language, for editors."""

from artschool.schema.document import json_schema as json_schema
from artschool.schema.names import names_of as names_of
