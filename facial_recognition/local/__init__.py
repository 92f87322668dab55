"""The development runner behind ``make run``: the whole service on one machine."""
