"""Images, sound and video as files: the one place that reads and writes each of them."""
