"""Finds what is wrong with a resume, a machine or a run folder: `artschool resume-test` and `artschool doctor`."""
