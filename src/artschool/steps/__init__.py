"""Steps: values by key, injectors and losses bound to their keys, and their execution in file order."""
