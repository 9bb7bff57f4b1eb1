"""The version of artschool. It is also that of the package, and needs no installed one."""

VERSION = "0.1.0"
