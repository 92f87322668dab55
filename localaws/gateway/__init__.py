"""API Gateway's REST APIs: those that moto holds because somebody has deployed them, served."""

from localaws.gateway.authorization import Authorization
from localaws.gateway.rest_apis import RestApis

__all__ = ["Authorization", "RestApis"]
