"""Shows runs: their folders as data, as a page, and as HTML for notebooks."""
