"""The resources that the service keeps its data in, and what a deploy needs around Chalice."""
