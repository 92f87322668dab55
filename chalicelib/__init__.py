"""Everything that is deployed to AWS Lambda beside ``app.py``, and nothing else."""
