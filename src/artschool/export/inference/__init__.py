"""The programs that exported folders contain as `inference.py`. They import nothing of artschool."""
