"""Published trainings: a file for each, compared with a loop that is written by hand."""
