"""A JSON Schema of the language, for editors: options with documentation and defaults, and the names of a file."""

from artschool.schema.document import json_schema as json_schema
from artschool.schema.names import names_of as names_of
