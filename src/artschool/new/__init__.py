"""New files from templates and recipes, fitted to the user's data."""
