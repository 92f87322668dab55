"""The OpenAPI document of the API, generated from the types of its messages."""
