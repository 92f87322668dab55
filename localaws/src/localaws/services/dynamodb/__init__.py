"""services/dynamodb."""
