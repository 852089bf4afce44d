"""The report of a run as one page (HTML) and as JSON, beside the image."""
